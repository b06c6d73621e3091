"""zchunk."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.tool import Tool


class Zchunk(Contender):
    """`zck` and `zckdl`, with their defaults. What is pulled is the archive, not yet unpacked."""

    name: ClassVar[str] = "zchunk"
    slow: ClassVar[bool] = True
    tool: ClassVar[Tool] = Tool("zck", r"^zchunk (\S+)", "apt install zchunk")

    def prepare(self, source: Path, place: Place) -> Command:
        """One archive a version."""
        return self._command("zck", "-o", place.served / f"{source.stem}.zck", source)

    def seed(self, old: Path, place: Place) -> list[Command]:
        """A seed is an archive."""
        return [self._command("zck", "-o", place.local / "seed.zck", old)]

    def pull(self, task: Task, place: Place) -> Command | None:
        """Ranges of the archive; it is named after the URL and written to the current folder."""
        if task.mode is Mode.IN_PLACE:
            return None
        words: list[str | Path] = ["-q"]
        if task.mode is Mode.SEED:
            words += ["-s", place.local / "seed.zck"]
        url = f"{task.url}/{place.path}/{task.stem}.zck"
        return self._command("zckdl", *words, url, cwd=task.out.parent)

    def _command(self, name: str, *words: str | Path, cwd: Path | None = None) -> Command:
        return Command((self.binary.parent / name, *words), cwd=cwd, limit=self.limit)
