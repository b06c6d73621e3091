"""Proved reads: bytes match their ids, and a loss names its cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from casync.errors import CasyncError, DamagedObjectError, NoObjectError, UnreachableError
from casync.ids import ChunkId, Kind, ObjectId, chunk_id
from casync.objects.codec import Codec, Packed, Packer
from casync.store.base import Absence
from casync.store.proved import Lost, ProvedReader

GOOD = b"good " * 100
ID = chunk_id(GOOD)
LABEL = f"chunk {ID.hex()}"
NO_FRAME = Packed(Kind.CHUNK, ID, Codec.ZSTD, len(GOOD), b"no frame")
OTHER_BYTES = Packed(Kind.CHUNK, ID, Codec.RAW, 5, b"other")


class Answers:
    """A source that answers as it was told."""

    def __init__(self, *answers: Packed | Absence) -> None:
        self._answers = answers

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        return iter(self._answers)


def failure_of(answer: Packed | Absence, missing: type[CasyncError]) -> CasyncError:
    reader = ProvedReader(Answers(answer), missing)
    with pytest.raises(CasyncError) as caught:
        reader.one(Kind.CHUNK, ID)
    return caught.value


def test_objects_come_in_the_requested_order() -> None:
    other = b"other " * 100
    packed = Packer().pack_new(Kind.CHUNK, GOOD), Packer().pack_new(Kind.CHUNK, other)
    ids = [ID, chunk_id(other)]
    assert list(ProvedReader(Answers(*packed)).plain(Kind.CHUNK, ids)) == [GOOD, other]


@pytest.mark.parametrize("answer", [Absence.DAMAGED, NO_FRAME, OTHER_BYTES])
def test_damage_is_named(answer: Packed | Absence) -> None:
    error = failure_of(answer, NoObjectError)
    assert type(error) is DamagedObjectError
    assert error.message.count(LABEL) == 1
    assert "casync store reindex" in error.next_step


@pytest.mark.parametrize("missing", [NoObjectError, DamagedObjectError])
def test_the_caller_says_what_a_missing_object_is(missing: type[CasyncError]) -> None:
    error = failure_of(Absence.MISSING, missing)
    assert type(error) is missing
    assert error.message == f"{LABEL} is missing"


def test_a_busy_server_is_worth_another_try() -> None:
    assert type(failure_of(Absence.BUSY, NoObjectError)) is UnreachableError


def test_losses_are_reported_and_the_rest_is_read() -> None:
    answers = Absence.MISSING, OTHER_BYTES, Packer().pack_new(Kind.CHUNK, GOOD)
    ids = [ChunkId(bytes(32)), ID, ID]
    lost, damaged, good = ProvedReader(Answers(*answers)).look(Kind.CHUNK, ids)
    assert lost == Lost(Kind.CHUNK, ids[0], Absence.MISSING)
    assert isinstance(damaged, Lost)
    assert damaged.absence is Absence.DAMAGED
    assert good == GOOD
    assert list(ProvedReader(Answers(*answers)).found(Kind.CHUNK, ids)) == [None, None, GOOD]
