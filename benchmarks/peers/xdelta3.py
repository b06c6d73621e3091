"""xdelta3: reads both versions locally, so it is a lower bound of bytes, not a peer."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender
from benchmarks.peers.tool import Tool


class Xdelta3(Contender):
    """`xdelta3 -1` with a window over the whole old file."""

    name: ClassVar[str] = "xdelta3"
    tool: ClassVar[Tool] = Tool(
        "xdelta3", r"^Xdelta version (\d\S*[0-9])", "apt install xdelta3", ("-V",)
    )

    def encode(self, old: Path, new: Path, patch: Path) -> Command:
        """Makes a patch."""
        words = ("-e", "-1", "-B", "2147483648", "-f", "-s", old, new, patch)
        return Command((self.binary, *words), limit=self.limit)
