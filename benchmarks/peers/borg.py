"""BorgBackup."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Place
from benchmarks.peers.tool import Tool


class Borg(Contender):
    """`borg create` into a repository without encryption, otherwise with its defaults (lz4)."""

    name: ClassVar[str] = "borg"
    tool: ClassVar[Tool] = Tool("borg", r"^borg (\S+)", "apt install borgbackup")

    def setup(self, place: Place) -> list[Command]:
        """`borg init`."""
        return [self._command(place, "init", "-e", "none", self.stored(place))]

    def prepare(self, source: Path, place: Place) -> Command:
        """An archive for each run, as a backup does."""
        archive = f"{self.stored(place)}::{source.stem}-{{now:%s-%f}}"
        return self._command(place, "create", archive, source)

    def stored(self, place: Place) -> Path:
        """The repository."""
        return place.local / "repository"

    def _command(self, place: Place, *words: str | Path) -> Command:
        env = {
            "BORG_BASE_DIR": str(place.local),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }
        return Command((self.binary, *words), env=env, limit=self.limit, wanted=(0, 1))
