"""All contenders, and how to install missing ones."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.aria2 import Aria2
from benchmarks.peers.bita import Bita
from benchmarks.peers.borg import Borg
from benchmarks.peers.bounds import B3sum, Cp, Curl
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.contender import Contender
from benchmarks.peers.desync import Desync
from benchmarks.peers.hf_xet import HfXet
from benchmarks.peers.ours import Ours
from benchmarks.peers.rclone import Rclone
from benchmarks.peers.restic import Restic
from benchmarks.peers.rsync import Rsync
from benchmarks.peers.tool import MissingError, find
from benchmarks.peers.xdelta3 import Xdelta3
from benchmarks.peers.zchunk import Zchunk
from benchmarks.peers.zsync import Zsync
from benchmarks.servers import NGINX

REQUIRED: tuple[Callable[[], Contender], ...] = (
    *(CasyncC, Borg, Restic, Zchunk, Rsync, Zsync, Xdelta3, Aria2, Rclone, Cp, Curl, B3sum),
)
"""Packages of Debian; rclone may also come from PyPI, in a newer version."""

WELCOME: tuple[Callable[[], Contender], ...] = (Desync, Bita, HfXet)
"""Not in Debian 12; optional."""


def gather(ours: Ours) -> tuple[list[Contender], list[str], list[str]]:
    """Finds the contenders.

    Returns:
        Those who are there, ourselves first; what is missing that has to be there; what is
        missing that would be welcome.
    """
    there: list[Contender] = [ours]
    missing: list[str] = []
    absent: list[str] = []
    for makers, lacks in ((REQUIRED, missing), (WELCOME, absent)):
        for make in makers:
            try:
                there.append(make())
            except MissingError as reason:
                lacks.append(str(reason))
    try:
        find(NGINX)
    except MissingError as reason:
        missing.append(str(reason))
    return there, missing, absent
