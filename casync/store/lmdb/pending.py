"""Records to be written, in columns: a step through Python for each costs more than its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Set
from itertools import compress
from typing import NamedTuple

from casync.ids import Buffer, Kind
from casync.objects.codec import Verified
from casync.objects.record import RECORD_BYTES, ChunkRecords, encode_record
from casync.store.lmdb.rows import index_key, index_prefix

__all__ = ["Pending"]


class Pending(NamedTuple):
    """Records of distinct objects. All lists have the same length.

    Attributes:
        keys: Their keys in the index.
        lengths: Plain bytes of the objects.
        sizes: Bytes of the records.
        records: The buffers of each record, end to end.
    """

    keys: list[bytes]
    lengths: list[int]
    sizes: list[int]
    records: list[tuple[Buffer, ...]]

    @staticmethod
    def of(objects: Iterable[Verified], blocks: Iterable[ChunkRecords] = ()) -> Pending:
        """Each distinct object once: first those of `blocks`, then `objects`, in order."""
        pending = Pending([], [], [], [])
        keys, lengths, sizes, records = pending
        prefix = index_prefix(Kind.CHUNK)
        for block in blocks:
            keys += [prefix + ident for ident in block.ids]
            lengths += block.lengths
            sizes += block.sizes
            records += zip(block.each())
        for kind, ident, codec, length, payload in objects:
            keys.append(index_key(kind, ident))
            lengths.append(length)
            sizes.append(RECORD_BYTES + len(payload))
            records.append((encode_record(kind, codec, length, ident, payload), payload))
        first = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
        if len(first) < len(keys):
            return pending._only([first[key] == place for place, key in enumerate(keys)])
        return pending

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return sum(self.sizes)

    @property
    def stored(self) -> int:
        """Bytes of all payloads."""
        return self.size - RECORD_BYTES * len(self.keys)

    def without(self, keys: Set[bytes]) -> Pending:
        """All but those with these keys."""
        if not keys:
            return self
        return self._only([key not in keys for key in self.keys])

    def after(self, first: Pending) -> Pending:
        """`first`, then these."""
        return Pending(
            first.keys + self.keys,
            first.lengths + self.lengths,
            first.sizes + self.sizes,
            first.records + self.records,
        )

    def _only(self, chosen: list[bool]) -> Pending:
        return Pending(
            list(compress(self.keys, chosen)),
            list(compress(self.lengths, chosen)),
            list(compress(self.sizes, chosen)),
            list(compress(self.records, chosen)),
        )
