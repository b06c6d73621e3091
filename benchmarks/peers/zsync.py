"""zsync: a list of checksums beside the file, on any web server."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.tool import Tool


class Zsync(Contender):
    """`zsyncmake` and `zsync`, with a limit: its look-ups take hours for some pairs."""

    name: ClassVar[str] = "zsync"
    slow: ClassVar[bool] = True
    tool: ClassVar[Tool] = Tool("zsync", r"^zsync v(\S+)", "apt install zsync", ("-V",))
    limit: ClassVar[float] = 90.0

    def prepare(self, source: Path, place: Place) -> Command:
        """Checksums of the blocks; the file itself is served as it is."""
        argv = (
            self.binary.with_name("zsyncmake"),
            *("-u", f"/files/{source.name}"),
            *("-o", place.served / f"{source.stem}.zsync"),
            source,
        )
        return Command(argv, limit=self.limit)

    def pull(self, task: Task, place: Place) -> Command | None:
        """Ranges of the file."""
        if task.mode is not Mode.SEED or task.old is None:
            return None
        url = f"{task.url}/{place.path}/{task.stem}.zsync"
        argv = (self.binary, "-q", "-i", task.old, "-o", task.out, url)
        return Command(argv, limit=self.limit, cwd=task.out.parent)
