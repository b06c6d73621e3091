"""The head of a store in a bucket: the one object that changes (docs/FORMAT.md section 11.5)."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec
from blake3 import blake3

from casync.bucket.keys import SESSION_BYTES, SessionPart
from casync.errors import MalformedError, NoSpaceError, UnsupportedError
from casync.ids import Buffer
from casync.limits import MAX_BUCKET_HEAD_BYTES

__all__ = ["NO_FLOOR", "BucketHead", "OpenSession", "RunEntry", "decode_head", "encode_head"]

_FORMAT: Final = 1
_CHECK_BYTES: Final = 16
_MOST: Final = 2**32 - 1

NO_FLOOR: Final = _MOST
"""The floor of a session that relies on nothing."""


class RunEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A run that is part of the store.

    Attributes:
        session: The session that wrote it.
        number: Its number in the session.
        level: How often what is in it was merged.
        size: Its bytes.
        first: The lowest version of the head with a commit that is in it; 0 if no run precedes it.
        last: The highest one.
    """

    session: bytes
    number: int
    level: int
    size: int
    first: int
    last: int

    @property
    def part(self) -> SessionPart:
        """What names the run."""
        return SessionPart(self.session, self.number)


class OpenSession(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The session of a writer.

    Attributes:
        session: Its id.
        floor: Collections keep objects of this generation and later ones; `NO_FLOOR` for none.
        heard: When it last swapped the head, in seconds since 1970.
        number: Above all numbers that it had used when it last swapped the head. Runs with lower
            numbers are in `runs`, or mean nothing.
    """

    session: bytes
    floor: int
    heard: int
    number: int


class BucketHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The state of a store.

    Attributes:
        format: Version of the format.
        store: The UUID of the store.
        version: Counts from 1; each swap raises it by one.
        generation: Each collection raises it by one.
        runs: The oldest first.
        sessions: Ordered by id.
        commit: The run that the last commit wrote, which may have been merged since; None before
            the first one. No other history of the store has it.
    """

    format: int
    store: bytes
    version: int
    generation: int
    runs: tuple[RunEntry, ...]
    sessions: tuple[OpenSession, ...]
    commit: SessionPart | None = None

    @staticmethod
    def new(store: bytes) -> BucketHead:
        """The head of an empty store."""
        return BucketHead(_FORMAT, store, 1, 1, (), ())

    def session(self, session: bytes) -> OpenSession | None:
        """An open session; None if it is not open."""
        return next((each for each in self.sessions if each.session == session), None)


def encode_head(head: BucketHead) -> bytes:
    """The bytes of a head.

    Raises:
        NoSpaceError: It has too many runs and sessions.
    """
    data = msgspec.msgpack.encode(head)
    data += blake3(data).digest(length=_CHECK_BYTES)
    if len(data) > MAX_BUCKET_HEAD_BYTES:
        raise NoSpaceError(f"the head of the store would have {len(data)} bytes")
    return data


class _Version(msgspec.Struct):
    format: int


def decode_head(data: Buffer) -> BucketHead:
    """Reads a head.

    Raises:
        UnsupportedError: The format is newer than this program.
        MalformedError: It is not a head, or is damaged.
    """
    if not _CHECK_BYTES < len(data) <= MAX_BUCKET_HEAD_BYTES:
        raise MalformedError(f"a head of {len(data)} bytes")
    body = bytes(data[:-_CHECK_BYTES])
    if blake3(body).digest(length=_CHECK_BYTES) != data[-_CHECK_BYTES:]:
        raise MalformedError("the head does not pass its check")
    try:
        version = msgspec.msgpack.decode(body, type=_Version).format
        if version > _FORMAT:
            raise UnsupportedError(
                f"the store has format {version}; this program supports up to {_FORMAT}",
                next_step="Use a newer casync.",
            )
        head = msgspec.msgpack.decode(body, type=BucketHead)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"malformed head: {error}") from error
    if not _is_possible(head):
        raise MalformedError("the head contradicts itself")
    return head


def _is_possible(head: BucketHead) -> bool:
    numbers = [head.format - 1, head.version - 1, head.generation - 1]
    numbers += [n for each in head.runs for n in (each.number, each.level, each.size, each.first)]
    for session in head.sessions:
        numbers += [session.floor, session.heard, session.number]
    if head.commit is not None:
        numbers.append(head.commit.number)
    ids = [head.store, *(run.session for run in head.runs)]
    ids += [head.commit.session] if head.commit is not None else []
    before = [0, *(run.last + 1 for run in head.runs)]
    opened = [each.session for each in head.sessions]
    return (
        head.format == _FORMAT
        and head.generation < _MOST
        and all(number >= 0 for number in numbers)
        and all(run.number <= _MOST for run in head.runs)
        and all(each.number <= _MOST + 1 and each.floor <= _MOST for each in head.sessions)
        and all(len(ident) == SESSION_BYTES for ident in (*ids, *opened))
        and all(run.first <= run.last <= head.version for run in head.runs)
        and all(end <= run.first for end, run in zip(before, head.runs, strict=False))
        and (not head.runs or head.runs[0].first == 0)
        and all(low < high for low, high in pairwise(opened))
    )
