"""aria2, which downloads a list of addresses."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import AT_ONCE, Contender, Download
from benchmarks.peers.tool import Tool


class Aria2(Contender):
    """`aria2c -i LIST`, with as many downloads at once as our requests.

    Room is not allocated beforehand, which would cost more than it saves here.
    """

    name: ClassVar[str] = "aria2c"
    tool: ClassVar[Tool] = Tool("aria2c", r"^aria2 version (\S+)", "apt install aria2")
    limit: ClassVar[float] = 600.0
    """Small files on a disk took it up to 9 ms each."""

    def download(self, task: Download) -> Command | None:
        """Lists nothing itself, and has no way to leave out what it has."""
        if task.again:
            return None
        words = ("--no-conf", "-q", "-j", str(AT_ONCE), "--file-allocation=none")
        argv = (self.binary, *words, "-i", task.listed, "-d", task.out)
        return Command(argv, limit=self.limit)
