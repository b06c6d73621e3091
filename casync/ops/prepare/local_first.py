"""Reads objects that another store has with what is here already: only the rest travels."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from casync.access.content_file import read_range
from casync.access.outline import Outline, open_outline
from casync.ids import Kind, ObjectId
from casync.jobs.validators import Validators
from casync.objects.codec import Packed
from casync.remote.sources.base import (
    Listed,
    ListedFolder,
    ObjectAnswer,
    RemoteSource,
    Replica,
)
from casync.store.base import Absence, ObjectSource, ObjectStat

__all__ = ["LocalFirst"]


class LocalFirst:
    """A `RemoteSource` whose answers with a `Replica` are read from a store where it has them.

    Args:
        source: The source.
        store: The store.
    """

    def __init__(self, source: RemoteSource, store: ObjectSource) -> None:
        self.label = source.label
        self.place = source.place
        self._source = source
        self._store = store

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        return self._source.find(key)

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        return self._source.list_below(prefix)

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        return self._source.list_folder(prefix)

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        """See `RemoteSource`."""
        answer = self._source.open(key, start, end, same=same, unless=unless)
        if answer is None or answer.replica is None:
            return answer
        objects = _Objects(self._store, answer.replica)
        outline = open_outline(answer.replica.manifest, objects)
        if outline.manifest.kind != "file":
            return answer  # which says that this is a folder
        last = outline.length if end is None or not answer.is_ranged else min(end, outline.length)
        blocks = _blocks(outline, objects, answer.start, last)
        return ObjectAnswer(
            answer.listed, answer.start, blocks, answer.close, is_ranged=answer.is_ranged
        )

    def close(self) -> None:
        """See `RemoteSource`."""
        self._source.close()


def _blocks(
    outline: Outline, objects: ObjectSource, start: int, end: int
) -> Generator[bytes, None, None]:
    for piece in read_range(outline, objects, start, end):
        yield bytes(piece)


class _Objects:
    """The objects of a store and, where it lacks them, of a server."""

    def __init__(self, store: ObjectSource, replica: Replica) -> None:
        self._store = store
        self._server = replica.server

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        here = list(self._store.get(kind, ids))
        lacking = [ident for ident, found in zip(ids, here, strict=True) if _lacks(found)]
        there = self._server.get(kind, lacking) if lacking else iter(())
        for found in here:
            yield next(there) if _lacks(found) else found

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        return self._server.stat(kind, ids)


def _lacks(found: Packed | Absence) -> bool:
    return isinstance(found, Absence)
