"""restic."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Place
from benchmarks.peers.tool import Tool


class Restic(Contender):
    """`restic backup` with its defaults. It always encrypts."""

    name: ClassVar[str] = "restic"
    tool: ClassVar[Tool] = Tool("restic", r"^restic (\S+)", "apt install restic", ("version",))

    def setup(self, place: Place) -> list[Command]:
        """`restic init`."""
        return [self._command(place, "init")]

    def prepare(self, source: Path, place: Place) -> Command:
        """A snapshot for each run, as a backup does."""
        return self._command(place, "backup", source)

    def stored(self, place: Place) -> Path:
        """The repository."""
        return place.local / "repository"

    def _command(self, place: Place, *words: str | Path) -> Command:
        argv = (self.binary, "-q", "-r", self.stored(place), *words)
        env = {"RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": str(place.local / "cache")}
        return Command(argv, env=env, limit=self.limit)
