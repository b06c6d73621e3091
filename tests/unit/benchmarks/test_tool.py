from pathlib import Path

import pytest

from benchmarks.peers.aria2 import Aria2
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.desync import Desync
from benchmarks.peers.ours import Ours
from benchmarks.peers.rclone import Rclone
from benchmarks.peers.restic import Restic
from benchmarks.peers.rsync import Rsync
from benchmarks.peers.tool import MissingError, OurselvesError, find, recognise
from benchmarks.peers.xdelta3 import Xdelta3
from benchmarks.peers.zsync import Zsync


@pytest.mark.parametrize(
    ("peer", "text", "version"),
    [
        (CasyncC, "casync 2\n", "2"),
        (CasyncC, "casync 0.1.0\n", None),
        (Restic, "restic 0.14.0 compiled with go1.19.8 on linux/amd64\n", "0.14.0"),
        (Rsync, "rsync  version 3.2.7  protocol version 31\nCopyright\n", "3.2.7"),
        (Xdelta3, "Xdelta version 3.0.11, Copyright (C) 2007\n", "3.0.11"),
        (Zsync, "zsync v0.6.2 (compiled Jan 16 2023 22:02:35)\n", "0.6.2"),
        (Rclone, "rclone v1.75.2\n- os/version: debian 12.11 (64 bit)\n", "1.75.2"),
        (Aria2, "aria2 version 1.36.0\nCopyright (C) 2006, 2019\n", "1.36.0"),
        (Desync, "desync is a content-addressed binary distribution\n", "version unknown"),
        (Desync, "no such thing\n", None),
    ],
)
def test_a_program_is_recognised_by_its_version_text(
    peer: type[CasyncC], text: str, version: str | None
) -> None:
    assert recognise(peer.tool, text) == version


def test_our_own_command_is_not_found_as_the_c_tool(tmp_path: Path) -> None:
    _script(tmp_path / "casync", "casync 1.2.3")
    with pytest.raises(MissingError, match="apt install casync"):
        find(CasyncC.tool, [tmp_path])


def test_a_tool_that_turned_into_our_own_command_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "casync"
    _script(path, "casync 2")
    peer = CasyncC(find(CasyncC.tool, [tmp_path]))
    peer.prove()
    _script(path, "casync 0.1.0")
    with pytest.raises(OurselvesError):
        peer.prove()


def test_our_own_command_prints_the_expected_version_text() -> None:
    ours = Ours()
    with pytest.raises(MissingError):
        find(CasyncC.tool, [ours.binary.parent])


def _script(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
