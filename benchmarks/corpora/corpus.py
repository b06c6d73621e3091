"""A corpus: versions of one file, and the pairs that are transferred."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cache import cache_folder

MIB = 1 << 20

Builder = Callable[[Path, float], None]
"""Writes all versions into a folder, at a scale: 1.0 is the full size."""


@dataclass(frozen=True)
class Pair:
    """An old and a new version; the label names the change."""

    label: str
    old: Path
    new: Path


@dataclass(frozen=True)
class Corpus:
    """Versions of one file.

    Attributes:
        name: The name on the command line.
        files: The names of the versions, oldest first.
        pairs: Label, old and new file name of each update.
        build: Builds the versions.
    """

    name: str
    files: tuple[str, ...]
    pairs: tuple[tuple[str, str, str], ...]
    build: Builder

    def folder(self, scale: float) -> Path:
        """The folder of this corpus at this scale."""
        return cache_folder() / f"{self.name}-{scale:g}"

    def ready(self, scale: float) -> Path:
        """Builds the corpus if it is missing; returns its folder."""
        folder = self.folder(scale)
        if not all((folder / name).exists() for name in self.files):
            print(f"building corpus {self.name}, scale {scale:g}, in {folder}", flush=True)
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            self.build(part, scale)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        return folder

    def of(self, folder: Path) -> list[Pair]:
        """The pairs, with the files in a folder."""
        return [Pair(label, folder / old, folder / new) for label, old, new in self.pairs]
