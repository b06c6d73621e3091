"""bita."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.tool import Tool


class Bita(Contender):
    """`bita compress` and `bita clone`, with their defaults (brotli 6)."""

    name: ClassVar[str] = "bita"
    slow: ClassVar[bool] = True
    tool: ClassVar[Tool] = Tool("bita", r"^bita (\S+)", "cargo install bita")

    def prepare(self, source: Path, place: Place) -> Command:
        """One archive a version."""
        archive = place.served / f"{source.stem}.cba"
        return self._command("compress", "-f", "-i", source, archive)

    def pull(self, task: Task, place: Place) -> Command | None:
        """Ranges of the archive."""
        words: list[str | Path] = ["clone"]
        if task.mode is Mode.SEED and task.old:
            words += ["--seed", task.old]
        if task.mode is Mode.IN_PLACE:
            words += ["--seed-output", "-f"]
        return self._command(*words, f"{task.url}/{place.path}/{task.stem}.cba", task.out)

    def _command(self, *words: str | Path) -> Command:
        return Command((self.binary, *words), limit=self.limit)
