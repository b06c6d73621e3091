"""How much of a manifest a store holds, found by walking it.

Used where rows are made anew from what is there; a writer that has just put everything in place
needs no walk. Must not know how the store keeps objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from casync.errors import IntegrityError, NoObjectError, UnsupportedError
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.codec import Packed, Unpacker
from casync.objects.manifest import Manifest, decode_manifest
from casync.objects.node import Content, Record, decode_node
from casync.objects.tree_walk import contents
from casync.store.base import Absence, ManifestState

__all__ = ["Completeness", "ObjectReader"]

_BATCH: Final = 256
"""Nodes asked for at once: some 5 MiB at most."""


class ObjectReader(Protocol):
    """What a walk needs of a store."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        ...

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """Which objects are here."""
        ...


class Completeness:
    """Judges manifests one after the other, walking what they share once."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects
        self._unpacker = Unpacker()
        self._whole: set[tuple[int, Record]] = set()  # nodes with everything below them

    def manifest(self, ident: ManifestId) -> Manifest | None:
        """The manifest itself, if it is here and sound."""
        (answer,) = self._objects.get(Kind.MANIFEST, [ident])
        if isinstance(answer, Absence):
            return None
        try:
            return decode_manifest(self._unpacker.unpack(answer))
        except (IntegrityError, UnsupportedError):
            return None

    def state(self, manifest: Manifest) -> ManifestState | None:
        """FULL with everything below it, OUTLINE of a file with all nodes, None with less."""
        if manifest.kind == "file":
            return self._content(manifest.content)
        try:
            states = map(self._content, contents(manifest, self._fetch))
            return ManifestState.FULL if all(s is ManifestState.FULL for s in states) else None
        except (NoObjectError, IntegrityError, UnsupportedError):
            return None

    def _fetch(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        for answer in self._objects.get(kind, ids):
            try:
                yield None if isinstance(answer, Absence) else self._unpacker.unpack(answer)
            except IntegrityError:
                yield None

    def _content(self, content: Content) -> ManifestState | None:
        if not content.length:
            return ManifestState.FULL
        level, root = content.level, Record(content.id, content.length)
        state = ManifestState.FULL
        seen: set[tuple[int, Record]] = set()
        todo = [(level, [root])]
        while todo:
            level, records = todo.pop()
            if level == 0:
                if not all(self._objects.known(Kind.CHUNK, [_id(r) for r in records])):
                    state = ManifestState.OUTLINE
                continue
            fresh = {record for record in records if (level, record) not in seen}
            fresh = {record for record in fresh if (level, record) not in self._whole}
            seen.update((level, record) for record in fresh)
            below = self._below(level, sorted(fresh))
            if below is None:
                return None
            todo += [
                (level - 1, below[start : start + _BATCH]) for start in range(0, len(below), _BATCH)
            ]
        if state is ManifestState.FULL:
            self._whole |= seen
        return state

    def _below(self, level: int, nodes: list[Record]) -> list[Record] | None:
        """The distinct records of `nodes`; None when a node is missing or unsound."""
        below: set[Record] = set()
        answers = self._objects.get(Kind.NODE, [_id(record) for record in nodes])
        for record, answer in zip(nodes, answers, strict=True):
            if isinstance(answer, Absence):
                return None
            try:
                data = self._unpacker.unpack(answer)
                below.update(decode_node(data, level, record.length).records)
            except (IntegrityError, UnsupportedError):
                return None
        return sorted(below)


def _id(record: Record) -> ObjectId:
    return ManifestId(record.id)
