"""What a store in memory holds."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord
from casync.objects.codec import Packed
from casync.store.base import ManifestRow, RememberedFile
from casync.store.push import is_alive

__all__ = ["Key", "OpenPush", "RemovedRow", "RemovedVersionRow", "Tables"]

Key: TypeAlias = tuple[Kind, ObjectId]


class OpenPush(NamedTuple):
    """A push: the generation that it began in, and when it was heard of last."""

    floor: int
    heard: int


class RemovedRow(NamedTuple):
    """A manifest in the trash: when it was removed, and in which generation."""

    row: ManifestRow
    removed: int
    generation: int


class RemovedVersionRow(NamedTuple):
    """A version of a name in the trash, as `RemovedRow`."""

    record: NameRecord
    removed: int
    generation: int


@dataclass
class Tables:
    """The tables of one store.

    Attributes:
        objects: Objects.
        generations: Of each object the generation in which it was relied upon last.
        manifests: Manifests, full and outline.
        names: Versions of names, the newest of each last.
        remembered: Files that are remembered by path, the newest last.
        removed_manifests: Manifests in the trash.
        removed_versions: Versions of names in the trash.
        highest_removed: Of names the highest number that a removed version had.
        pushes: Pushes that may be open.
        writer: The generation since which what the store's user relies on stays, or None.
        generation: The generation of today: each collection begins one.
        collecting: Whether a collection is running.
        lock: A thread that changes the tables holds it.
    """

    objects: dict[Key, Packed] = field(default_factory=dict)
    generations: dict[Key, int] = field(default_factory=dict)
    manifests: dict[ManifestId, ManifestRow] = field(default_factory=dict)
    names: dict[Name, list[NameRecord]] = field(default_factory=dict)
    remembered: dict[bytes, RememberedFile] = field(default_factory=dict)
    removed_manifests: dict[ManifestId, RemovedRow] = field(default_factory=dict)
    removed_versions: dict[tuple[str, int], RemovedVersionRow] = field(default_factory=dict)
    highest_removed: dict[str, int] = field(default_factory=dict)
    pushes: dict[bytes, OpenPush] = field(default_factory=dict)
    writer: int | None = None
    generation: int = 1
    collecting: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def renew(self, keys: Iterable[Key]) -> None:
        """Saves those objects that are here from a running collection."""
        for key in keys:
            if key in self.objects:
                self.generations[key] = self.generation

    def floor(self, now: int, today: int) -> int:
        """The lowest generation that the store's user or a push relies on, `today` at most."""
        floors = [push.floor for push in self.pushes.values() if is_alive(push.heard, now)]
        floors += [] if self.writer is None else [self.writer]
        return min([today, *floors])

    def log(self) -> Iterator[NameRecord]:
        """All versions of all names."""
        for records in self.names.values():
            yield from records
