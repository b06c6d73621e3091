"""Makes the deltas that a server sends for groups, from the objects of a store."""

from __future__ import annotations

from typing import NamedTuple

from casync.errors import IntegrityError
from casync.ids import Kind
from casync.limits import MAX_GROUP_BYTES
from casync.objects.codec import Packed, Unpacker
from casync.objects.delta import Delta, Group, pack_group
from casync.store.base import ObjectSource

__all__ = ["MadeDelta", "make_delta"]


class MadeDelta(NamedTuple):
    """A delta, and the bytes by which it is shorter than the payloads of its objects."""

    delta: Delta
    saved: int


def make_delta(
    source: ObjectSource, kind: Kind, group: Group, unpacker: Unpacker, max_wanted: int
) -> MadeDelta | None:
    """Packs `group` as one delta, if `source` has all its objects and the delta is shorter.

    Otherwise returns None, also for damaged or too many bytes; the caller sends the objects.

    Args:
        source: Has the objects, which are not proved again.
        kind: Kind of the objects.
        group: The wanted ids and the bases.
        unpacker: The calling thread's.
        max_wanted: Maximum plain bytes of the wanted objects.
    """
    count = len(group.wanted)
    ids = [*group.wanted, *group.bases]
    lengths = [stat.length if stat else 0 for stat in source.stat(kind, ids)]
    if not all(lengths) or sum(lengths) > MAX_GROUP_BYTES or sum(lengths[:count]) > max_wanted:
        return None
    plains: list[bytes] = []
    payloads = 0
    for answer in source.get(kind, ids):
        if not isinstance(answer, Packed):
            return None
        if len(plains) < count:
            payloads += len(answer.payload)
        try:
            plains.append(unpacker.decode(answer))
        except IntegrityError:
            return None
    delta = pack_group(kind, group.wanted, plains[:count], plains[count:])
    saved = payloads - len(delta.payload)
    return MadeDelta(delta, saved) if saved > 0 else None
