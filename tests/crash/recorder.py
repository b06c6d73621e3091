"""Runs commands under `recorder.c` and reads what it logged.

It knows nothing of the commands or of disks.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tests.crash.tools import tool

__all__ = ["Fault", "Op", "Recorder", "read_log"]

_HEADER: Final = struct.Struct("<c3xIII QQQ")


class Op(NamedTuple):
    """One logged call.

    Attributes:
        kind: `w` write, `W` write through O_DSYNC, `t` truncate, `z` make zeros, `e` allocate and
            extend, `k` allocate only, `s` sync, `S` sync of the file system, `c` create, `m` mkdir,
            `r` rename, `l` link, `y` symlink, `u` unlink or rmdir, `A` bytes written to stdout, `F`
            the fault struck, `?` not modelled.
        inode: The file, except of calls on names.
        offset: Where in the file; the new length of `t`.
        length: Bytes.
        path: The file's path, or the name.
        other: The second name of `r` and `l`, the text of `y`.
        data: What `w`, `W` and `A` wrote.
    """

    kind: str
    inode: int
    offset: int
    length: int
    path: str
    other: str
    data: bytes


class Fault(NamedTuple):
    """A fault to inject.

    Attributes:
        how: `before` and `during` kill, `error` fails.
        at: Number of the call, from 1.
        errno: The error of `error`.
        only: Classes of calls that count: some of `wsna`, or empty for all.
    """

    how: str
    at: int
    errno: int = 0
    only: str = ""


class Recorder:
    """The compiled recorder.

    Args:
        folder: Where the library is put.
    """

    def __init__(self, folder: Path) -> None:
        self._library = folder / "recorder.so"
        source = Path(__file__).with_name("recorder.c")
        flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        files = ["-o", str(self._library), str(source), "-ldl", "-lpthread"]
        subprocess.run([tool("gcc"), *flags, *files], check=True)

    def run(
        self,
        command: Sequence[str | Path],
        root: Path,
        log: Path,
        *,
        fault: Fault | None = None,
        env: Mapping[str, str] | None = None,
        stdin: BinaryIO | int = subprocess.DEVNULL,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command and appends to `log` what it did below `root`."""
        variables = dict(os.environ if env is None else env)
        variables |= {
            "LD_PRELOAD": str(self._library),
            "CRASH_ROOT": str(root.resolve()),
            "CRASH_LOG": str(log),
        }
        if fault is not None:
            variables |= {
                "CRASH_FAULT": fault.how,
                "CRASH_AT": str(fault.at),
                "CRASH_ERRNO": str(fault.errno),
                "CRASH_ONLY": fault.only,
            }
        return subprocess.run(
            command, env=variables, stdin=stdin, capture_output=True, timeout=timeout, check=False
        )


def read_log(log: Path) -> list[Op]:
    """All calls that were logged."""
    return list(_parse(log.read_bytes()))


def _parse(data: bytes) -> Iterator[Op]:
    at = 0
    while at < len(data):
        letter, path_bytes, other_bytes, _, inode, offset, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        kind = letter.decode()
        texts = data[at : at + path_bytes + other_bytes].decode(errors="surrogateescape")
        at += path_bytes + other_bytes
        payload = data[at : at + length] if kind in "wWA" else b""
        at += len(payload)
        path = texts[: len(texts) - other_bytes] if other_bytes else texts
        other = texts[len(texts) - other_bytes :] if other_bytes else ""
        yield Op(kind, inode, offset, length, path, other, payload)
