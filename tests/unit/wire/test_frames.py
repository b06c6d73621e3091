from __future__ import annotations

import random
import struct

import pytest
import zstandard

from casync.errors import RemoteProtocolError, UnreachableError, UsageError
from casync.ids import Kind, ObjectId, chunk_id
from casync.limits import MAX_BATCH_IDS
from casync.objects.codec import MAX_PLAIN, Codec, Packed, Packer
from casync.objects.delta import Delta, Group, Singles
from casync.wire.frames import (
    END_FRAME,
    Answer,
    FrameReader,
    Status,
    absence_frame,
    answer_header,
    encode_frames,
)

IDS: list[ObjectId] = [chunk_id(b"%d" % number) for number in range(MAX_BATCH_IDS)]


def pack(plain: bytes) -> Packed:
    return Packed(*Packer().pack_new(Kind.CHUNK, plain))


def raw_frame(status: int, payload: bytes = b"", *, codec: int = 0, count: int = 1) -> bytes:
    return struct.pack("<BBHI", status, codec, count, len(payload)) + payload


def read(data: bytes, ids: list[ObjectId], kind: Kind = Kind.CHUNK) -> list[Answer]:
    reader = FrameReader(kind, Singles(ids))
    answers = reader.feed(data)
    reader.feed(b"")
    reader.finish()
    return answers


class TestFrames:
    def test_bytes_are_those_of_the_document(self) -> None:
        hello = Packed(Kind.CHUNK, IDS[0], Codec.RAW, 5, b"hello")
        answers: list[Answer] = [hello, *[Status.MISSING] * 2]
        assert b"".join(encode_frames(answers)).hex(" ", -1) == (
            "01 00 01 00 05 00 00 00 68 65 6c 6c 6f 03 00 02 00 00 00 00 00 06 00 00 00 00 00 00 00"
        )

    def test_payloads_are_not_copied(self) -> None:
        packed = pack(random.Random(1).randbytes(5000))
        parts = list(encode_frames([packed]))
        assert parts == [answer_header(packed), packed.payload, END_FRAME]
        assert parts[1] is packed.payload

    def test_equal_absences_become_one_frame(self) -> None:
        runs = [Status.MISSING] * 3 + [Status.BUSY] * 2 + [Status.DAMAGED]
        assert list(encode_frames(runs)) == [
            absence_frame(Status.MISSING, 3),
            absence_frame(Status.BUSY, 2),
            absence_frame(Status.DAMAGED, 1),
            END_FRAME,
        ]
        assert list(encode_frames([])) == [END_FRAME]

    def test_round_trip(self) -> None:
        packed = [pack(b"x" * 9000), pack(random.Random(2).randbytes(9000)), pack(b"y")]
        answers: list[Answer] = [packed[0], Status.MISSING, packed[1], Status.DAMAGED, packed[2]]
        answers += [Status.BUSY] * (MAX_BATCH_IDS - 5)
        ids = [a.id if isinstance(a, Packed) else IDS[0] for a in answers]
        assert read(b"".join(encode_frames(answers)), ids) == answers

    def test_plain_length_comes_from_the_payload(self) -> None:
        zipped, raw = pack(bytes(100_000)), pack(b"short")
        assert (zipped.codec, raw.codec) == (Codec.ZSTD, Codec.RAW)
        answers = read(b"".join(encode_frames([zipped, raw])), [zipped.id, raw.id])
        assert [a.length for a in answers if isinstance(a, Packed)] == [100_000, 5]

    @pytest.mark.parametrize("status", [Status.OBJECT, Status.END])
    def test_only_absences_stand_for_runs(self, status: Status) -> None:
        with pytest.raises(UsageError):
            absence_frame(status, 1)
        for count in (0, MAX_BATCH_IDS + 1):
            with pytest.raises(UsageError):
                absence_frame(Status.MISSING, count)

    def test_a_group_may_be_a_delta_or_not(self) -> None:
        groups = [Group(IDS[:1]), Group(IDS[1:3], IDS[9:10]), Group(IDS[3:5])]
        payload = zstandard.compress(b"two of them")
        delta = Delta(Kind.CHUNK, IDS[1:3], 11, payload)
        plain: list[Answer] = [Status.MISSING] * 3
        for answers in (
            [Status.MISSING, delta, *plain[:2]],
            [*plain, delta._replace(ids=IDS[3:5])],
        ):
            reader = FrameReader(Kind.CHUNK, groups)
            assert reader.feed(b"".join(encode_frames(answers))) == answers
            reader.finish()
            assert reader.answered == reader.wanted == 5

    @pytest.mark.parametrize("size", [10, 5000])
    def test_objects_and_deltas_in_turn_cut_anywhere(self, size: int) -> None:
        rng = random.Random(size)
        answers: list[Answer] = []
        groups: list[Group] = []
        for number in range(0, 30, 3):
            packed = pack(rng.randbytes(size))._replace(id=IDS[number])
            delta = Delta(
                Kind.CHUNK,
                IDS[number + 1 : number + 3],
                size,
                zstandard.compress(rng.randbytes(size)),
            )
            answers += [packed, delta]
            groups += [Group([packed.id]), Group(delta.ids)]
        data = b"".join(encode_frames(answers))
        for step in (1, 7, 8, 9, 4095, 4097, size + 8, len(data)):
            reader = FrameReader(Kind.CHUNK, groups)
            found = [
                a for at in range(0, len(data), step) for a in reader.feed(data[at : at + step])
            ]
            reader.finish()
            assert found == answers
            assert reader.answered == reader.wanted == 30

    def test_a_hostile_frame_after_good_ones_in_a_piece(self) -> None:
        good = pack(random.Random(3).randbytes(100))
        start = b"".join(encode_frames([good] * 5)).removesuffix(END_FRAME)
        forged = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**40) + b"\x01\0\0"
        for bad in (
            raw_frame(Status.OBJECT, forged, codec=1),
            raw_frame(Status.OBJECT, b"no zstd frame", codec=1),
            raw_frame(Status.OBJECT, b"x", codec=2),
            raw_frame(Status.OBJECT, b"x", count=2),
            raw_frame(Status.OBJECT),
            struct.pack("<BBHI", Status.OBJECT, 0, 1, 2**32 - 1),
        ):
            reader = FrameReader(Kind.CHUNK, Singles([good.id] * 9))
            assert reader.feed(start + bad + bytes(100)) == [good] * 5
            with pytest.raises(RemoteProtocolError):
                reader.feed(b"")


GOOD = raw_frame(Status.OBJECT, b"hello")


class TestRefusals:
    @pytest.mark.parametrize(
        "data",
        [
            raw_frame(0),
            raw_frame(2, b"no group", codec=1),
            raw_frame(2, b"no group", codec=1, count=3),
            raw_frame(7),
            raw_frame(255),
            raw_frame(Status.OBJECT),
            raw_frame(Status.OBJECT, b"x", codec=2),
            raw_frame(Status.OBJECT, b"x", count=0),
            raw_frame(Status.OBJECT, b"x", count=2),
            raw_frame(Status.OBJECT, b"no zstd frame", codec=1),
            raw_frame(Status.MISSING, count=0),
            raw_frame(Status.MISSING, count=4),
            raw_frame(Status.MISSING, count=65535),
            raw_frame(Status.MISSING, b"x"),
            raw_frame(Status.BUSY, codec=1),
            raw_frame(Status.END, count=0),
            GOOD + END_FRAME,
            GOOD * 3 + raw_frame(Status.END, count=1),
            GOOD * 3 + raw_frame(Status.END, b"x", count=0),
            GOOD * 4,
            GOOD * 3 + raw_frame(Status.MISSING),
            GOOD * 3 + END_FRAME + END_FRAME,
        ],
    )
    def test_protocol_violations_are_refused(self, data: bytes) -> None:
        with pytest.raises(RemoteProtocolError):
            read(data, IDS[:3])

    def test_bytes_after_the_end_even_in_a_later_piece(self) -> None:
        reader = FrameReader(Kind.CHUNK, Singles(IDS[:1]))
        assert len(reader.feed(GOOD + END_FRAME)) == 1
        reader.finish()
        with pytest.raises(RemoteProtocolError):
            reader.feed(b"\0")

    @pytest.mark.parametrize("kind", list(Kind))
    def test_payloads_longer_than_their_kind(self, kind: Kind) -> None:
        most = MAX_PLAIN[kind]
        header = struct.pack("<BBHI", Status.OBJECT, 0, 1, most + 1)
        with pytest.raises(RemoteProtocolError):  # from the header alone, before it takes memory
            FrameReader(kind, Singles(IDS[:1])).feed(header)
        (answer,) = read(raw_frame(Status.OBJECT, bytes(most)) + END_FRAME, IDS[:1], kind)
        assert isinstance(answer, Packed)
        assert answer.length == most

    def test_zstd_frames_without_a_size_or_with_a_wrong_one(self) -> None:
        unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
        bomb = zstandard.ZstdCompressor().compress(bytes(MAX_PLAIN[Kind.CHUNK] + 1))
        forged = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**40) + b"\x01\0\0"
        skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip"
        empty = zstandard.ZstdCompressor().compress(b"")
        for payload in (unsized, bomb, forged, skippable, empty):
            with pytest.raises(RemoteProtocolError):
                read(raw_frame(Status.OBJECT, payload, codec=1) + END_FRAME, IDS[:1])

    def test_answers_before_a_violation_are_returned(self) -> None:
        reader = FrameReader(Kind.CHUNK, Singles(IDS[:3]))
        assert len(reader.feed(GOOD * 2 + raw_frame(9))) == 2
        for call in (lambda: reader.feed(b""), reader.finish, lambda: reader.feed(GOOD)):
            with pytest.raises(RemoteProtocolError):
                call()

    def test_a_stream_that_breaks_off_may_be_retried(self) -> None:
        data = GOOD * 3 + END_FRAME
        for size in range(len(GOOD) * 3):
            reader = FrameReader(Kind.CHUNK, Singles(IDS[:3]))
            assert len(reader.feed(data[:size])) == size // len(GOOD)
            with pytest.raises(UnreachableError):
                reader.finish()

    def test_a_stream_that_lacks_only_its_end(self) -> None:
        for size in range(len(END_FRAME)):
            reader = FrameReader(Kind.CHUNK, Singles(IDS[:3]))
            reader.feed(GOOD * 3 + END_FRAME[:size])
            with pytest.raises(RemoteProtocolError):
                reader.finish()

    def test_deltas_that_answer_no_group(self) -> None:
        packed = zstandard.compress(b"two of them")
        groups = [Group(IDS[:1]), Group(IDS[1:3], IDS[9:10])]
        for good, bad in [
            (0, raw_frame(Status.DELTA, packed, codec=1, count=1)),
            (0, raw_frame(Status.DELTA, packed, codec=1, count=2)),
            (1, raw_frame(Status.DELTA, packed, codec=1, count=0)),
            (1, raw_frame(Status.DELTA, packed, codec=1, count=1)),
            (1, raw_frame(Status.DELTA, packed, codec=1, count=3)),
            (1, raw_frame(Status.DELTA, packed, codec=0, count=2)),
            (1, raw_frame(Status.DELTA, b"", codec=1, count=2)),
            (1, raw_frame(Status.DELTA, b"no zstd frame", codec=1, count=2)),
            (1, raw_frame(Status.DELTA, zstandard.compress(b""), codec=1, count=2)),
            (1, raw_frame(Status.DELTA, zstandard.compress(bytes(2**22 + 1)), codec=1, count=2)),
            (1, struct.pack("<BBHI", Status.DELTA, 1, 2, 2**22 + 1)),
            (2, raw_frame(Status.DELTA, packed, codec=1, count=2)),
            (2, raw_frame(Status.DELTA, packed, codec=1, count=1)),
        ]:
            reader = FrameReader(Kind.CHUNK, groups)
            assert len(reader.feed(GOOD * good)) == good
            with pytest.raises(RemoteProtocolError):
                reader.feed(bad)
