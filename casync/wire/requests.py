"""The lists of the wire: requested ids, alone or in groups, and the sizes that answer them.

Both sides use this module; docs/PROTOCOL.md defines the bytes. Counts that the peer announces are
checked against their bounds before anything else is parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from casync.errors import (
    MalformedError,
    RemoteProtocolError,
    UnsupportedError,
    UsageError,
)
from casync.ids import ID_BYTES, Buffer, ChunkId, Kind, ObjectId
from casync.limits import MAX_BATCH_BASES, MAX_BATCH_IDS
from casync.objects.codec import MAX_PLAIN
from casync.objects.delta import Group, Singles, wanted_ids
from casync.sizes import format_count

__all__ = [
    "IDS_TYPE",
    "MAX_IDS_BYTES",
    "SIZES_TYPE",
    "GroupsRequest",
    "IdsRequest",
    "decode_groups",
    "decode_ids",
    "decode_sizes",
    "encode_groups",
    "encode_ids",
    "encode_sizes",
    "first_groups",
    "groups_after",
]

IDS_TYPE: Final = "application/vnd.casync.ids"
SIZES_TYPE: Final = "application/vnd.casync.sizes"

_MAGIC: Final = b"CASQ"
_VERSION: Final = 1
_IN_GROUPS: Final = 1
"""The flag of a list with groups of ids."""

_IDS: Final = struct.Struct("<4sBBHHH")  # magic, version, kind, flags, count, groups
_GROUP: Final = struct.Struct("<HH")  # number of wanted ids, and of bases
_SIZES: Final = struct.Struct("<QQ")  # plain, stored
_NO_SIZE: Final = 2**64 - 1

MAX_IDS_BYTES: Final = (
    _IDS.size + MAX_BATCH_IDS * (ID_BYTES + _GROUP.size) + MAX_BATCH_BASES * ID_BYTES
)
"""Bytes of the longest list of ids."""


class IdsRequest(NamedTuple):
    """A list of ids of one kind."""

    kind: Kind
    ids: list[ObjectId]


class GroupsRequest(NamedTuple):
    """The body of a fetch request: ids of one kind, in groups."""

    kind: Kind
    groups: Sequence[Group]


def encode_ids(kind: Kind, ids: Sequence[ObjectId]) -> bytes:
    """The body of a request for `ids`.

    Raises:
        UsageError: No id, or more than MAX_BATCH_IDS.
    """
    _check_count(ids)
    return _IDS.pack(_MAGIC, _VERSION, kind, 0, len(ids), 0) + b"".join(ids)


def encode_groups(kind: Kind, groups: Sequence[Group]) -> bytes:
    """The body of a request for the wanted ids of `groups`, in order.

    Raises:
        UsageError: No id or more than MAX_BATCH_IDS, more bases than MAX_BATCH_BASES, or a group
            without a wanted id.
    """
    ids = wanted_ids(groups)
    if isinstance(groups, Singles) or all(group.is_single for group in groups):
        return encode_ids(kind, ids)
    _check_count(ids)
    bases = [ident for group in groups for ident in group.bases]
    if len(bases) > MAX_BATCH_BASES or not all(group.wanted for group in groups):
        raise UsageError(f"a group has a wanted id, and a request at most {MAX_BATCH_BASES} bases")
    header = _IDS.pack(_MAGIC, _VERSION, kind, _IN_GROUPS, len(ids), len(groups))
    rows = [_GROUP.pack(len(group.wanted), len(group.bases)) for group in groups]
    return b"".join([header, *rows, *ids, *bases])


def _check_count(ids: Sequence[ObjectId]) -> None:
    if not 1 <= len(ids) <= MAX_BATCH_IDS:
        raise UsageError(f"a request has 1 to {MAX_BATCH_IDS} ids, not {len(ids)}")


def first_groups(groups: Sequence[Group]) -> Sequence[Group]:
    """The first of `groups`, as many as fit into one request."""
    if isinstance(groups, Singles):
        return groups[:MAX_BATCH_IDS]
    ids = bases = 0
    for number, group in enumerate(groups):
        ids += len(group.wanted)
        bases += len(group.bases)
        if number and (ids > MAX_BATCH_IDS or bases > MAX_BATCH_BASES):
            return groups[:number]
    return groups


def groups_after(groups: Sequence[Group], count: int) -> Sequence[Group]:
    """The rest of `groups` after the first `count` wanted ids. A split group keeps its bases."""
    if isinstance(groups, Singles):
        return groups[count:]
    rest: list[Group] = []
    for wanted, bases in groups:
        if count < len(wanted):
            rest.append(Group(wanted[count:], bases))
        count = max(count - len(wanted), 0)
    return rest


def decode_ids(data: Buffer) -> IdsRequest:
    """Reads a list of ids without groups.

    Raises:
        UnsupportedError: A later version, or flags.
        MalformedError: Anything else that `encode_ids` would not write.
    """
    kind, flags, count, _ = _header(data)
    if flags:
        raise UnsupportedError(f"list of ids with flags {flags:#06x}; this request takes none")
    return IdsRequest(kind, _ids(data, _IDS.size, count))


def decode_groups(data: Buffer) -> GroupsRequest:
    """Reads a list of ids. Without groups in it, each id becomes a group of its own.

    Raises:
        UnsupportedError: A later version, or unknown flags.
        MalformedError: Anything else that `encode_groups` would not write.
    """
    kind, flags, count, groups = _header(data)
    if not flags:
        return GroupsRequest(kind, Singles(_ids(data, _IDS.size, count)))
    start = _IDS.size + groups * _GROUP.size
    if not 1 <= groups <= count or len(data) < start:
        raise MalformedError(f"list of {count} ids in {groups} groups")
    rows = list(_GROUP.iter_unpack(memoryview(data)[_IDS.size : start]))
    bases = sum(row[1] for row in rows)
    if sum(row[0] for row in rows) != count or not all(row[0] for row in rows):
        raise MalformedError(f"list of {count} ids in groups of other counts")
    if bases > MAX_BATCH_BASES or (groups == count and not bases):
        raise MalformedError(f"list of {count} ids in {groups} groups with {bases} bases")
    ids = iter(_ids(data, start, count + bases))
    wanted = [[next(ids) for _ in range(row[0])] for row in rows]
    return GroupsRequest(
        kind,
        [
            Group(its, [next(ids) for _ in range(row[1])])
            for its, row in zip(wanted, rows, strict=True)
        ],
    )


def _header(data: Buffer) -> tuple[Kind, int, int, int]:
    """Reads kind, flags, number of ids and number of groups."""
    if len(data) < _IDS.size:
        raise MalformedError("list of ids shorter than its header")
    magic, version, kind, flags, count, groups = _IDS.unpack_from(data)
    if magic != _MAGIC:
        raise MalformedError("list of ids with a wrong magic")
    if version != _VERSION:
        raise UnsupportedError(f"list of ids of version {version}; this program knows {_VERSION}")
    if flags & ~_IN_GROUPS:
        raise UnsupportedError(f"list of ids with unknown flags {flags:#06x}")
    if kind not in MAX_PLAIN:
        raise MalformedError(f"list of ids of unknown kind {kind}")
    if groups and not flags:
        raise MalformedError(f"list of ids with {groups} groups, but not the flag for groups")
    if not 1 <= count <= MAX_BATCH_IDS:
        raise MalformedError(f"list of {count} ids; 1 to {MAX_BATCH_IDS} are allowed")
    return Kind(kind), flags, count, groups


def _ids(data: Buffer, start: int, count: int) -> list[ObjectId]:
    """Reads the ids from `start` to the end of `data`, which must be `count`."""
    if len(data) != start + count * ID_BYTES:
        raise MalformedError(
            f"list that claims {format_count(count, 'id')} in {format_count(len(data), 'byte')}"
        )
    body = bytes(data)
    return [ChunkId(body[at : at + ID_BYTES]) for at in range(start, len(body), ID_BYTES)]


def encode_sizes(rows: Iterable[tuple[int, int] | None]) -> bytes:
    """The answer to a stat request: (plain, stored) bytes per id, None for a missing object."""
    return b"".join([_SIZES.pack(*(row or (_NO_SIZE, _NO_SIZE))) for row in rows])


def decode_sizes(kind: Kind, count: int, data: Buffer) -> list[tuple[int, int] | None]:
    """Reads the answer to a stat request for `count` ids of `kind`.

    Raises:
        RemoteProtocolError: `data` has another length, or no object can have such a size.
    """
    if len(data) != count * _SIZES.size:
        raise RemoteProtocolError(
            f"sizes of {format_count(count, 'object')} in {format_count(len(data), 'byte')}"
        )
    rows: list[tuple[int, int] | None] = []
    for plain, stored in _SIZES.iter_unpack(data):
        if plain == stored == _NO_SIZE:
            rows.append(None)
        elif 1 <= stored <= plain <= MAX_PLAIN[kind]:
            rows.append((plain, stored))
        else:
            raise RemoteProtocolError(
                f"impossible sizes of a {kind.name.lower()}: {plain} plain, {stored} stored bytes"
            )
    return rows
