from __future__ import annotations

import random
import struct

import pytest
import zstandard

from casync.codec import Codec, Packed, Packer
from casync.errors import (
    MalformedError,
    RemoteProtocolError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from casync.frames import (
    END_FRAME,
    MAX_IDS_BYTES,
    MAX_PLAIN,
    Answer,
    FrameReader,
    Status,
    absence_frame,
    decode_ids,
    decode_sizes,
    encode_frames,
    encode_ids,
    encode_sizes,
    object_header,
)
from casync.ids import ChunkId, Kind, ObjectId, chunk_id
from casync.limits import MAX_BATCH_IDS

IDS: list[ObjectId] = [chunk_id(b"%d" % number) for number in range(MAX_BATCH_IDS)]


def pack(plain: bytes) -> Packed:
    return Packed(*Packer().pack_new(Kind.CHUNK, plain))


def raw_frame(status: int, payload: bytes = b"", *, codec: int = 0, count: int = 1) -> bytes:
    return struct.pack("<BBHI", status, codec, count, len(payload)) + payload


def read(data: bytes, ids: list[ObjectId], kind: Kind = Kind.CHUNK) -> list[Answer]:
    reader = FrameReader(kind, ids)
    answers = reader.feed(data)
    reader.feed(b"")
    reader.finish()
    return answers


class TestIds:
    def test_bytes_are_those_of_the_document(self) -> None:
        data = encode_ids(Kind.NODE, [ChunkId(bytes(range(32))), ChunkId(bytes([255] * 32))])
        assert data.hex() == "43415351010200000200" + "0000" + bytes(range(32)).hex() + "ff" * 32

    @pytest.mark.parametrize("kind", list(Kind))
    @pytest.mark.parametrize("count", [1, 2, MAX_BATCH_IDS])
    def test_round_trip(self, kind: Kind, count: int) -> None:
        data = encode_ids(kind, IDS[:count])
        assert decode_ids(data) == (kind, IDS[:count])
        assert decode_ids(memoryview(bytearray(data))) == (kind, IDS[:count])
        assert len(data) <= MAX_IDS_BYTES

    @pytest.mark.parametrize("count", [0, MAX_BATCH_IDS + 1])
    def test_refuses_to_ask_for_none_or_too_many(self, count: int) -> None:
        with pytest.raises(UsageError):
            encode_ids(Kind.CHUNK, (IDS * 2)[:count])

    @pytest.mark.parametrize(
        ("at", "value"),
        [(0, b"X"), (5, b"\0"), (5, b"\4"), (8, b"\0\0"), (8, b"\1\0"), (8, b"\3\0"), (10, b"\1")],
    )
    def test_refuses_other_headers(self, at: int, value: bytes) -> None:
        data = bytearray(encode_ids(Kind.CHUNK, IDS[:2]))
        data[at : at + len(value)] = value
        with pytest.raises(MalformedError):
            decode_ids(data)

    @pytest.mark.parametrize(("at", "value"), [(4, 2), (4, 0), (6, 1), (7, 128)])
    def test_names_what_is_newer(self, at: int, value: int) -> None:
        data = bytearray(encode_ids(Kind.CHUNK, IDS[:2]))
        data[at] = value
        with pytest.raises(UnsupportedError):
            decode_ids(data)

    def test_refuses_other_lengths(self) -> None:
        data = encode_ids(Kind.CHUNK, IDS[:2])
        for wrong in (b"", data[:11], data[:-1], data + b"\0", data + bytes(32)):
            with pytest.raises(MalformedError):
                decode_ids(wrong)

    def test_refuses_a_count_above_the_batch(self) -> None:
        count = MAX_BATCH_IDS + 1
        data = struct.pack("<4sBBHHH", b"CASQ", 1, 1, 0, count, 0) + bytes(32 * count)
        with pytest.raises(MalformedError):
            decode_ids(data)


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
        assert parts == [object_header(packed), packed.payload, END_FRAME]
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


GOOD = raw_frame(Status.OBJECT, b"hello")


class TestRefusals:
    @pytest.mark.parametrize(
        "data",
        [
            raw_frame(0),
            raw_frame(2, b"delta group"),
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
    def test_breaks_of_the_protocol(self, data: bytes) -> None:
        with pytest.raises(RemoteProtocolError):
            read(data, IDS[:3])

    def test_bytes_after_the_end_even_in_a_later_piece(self) -> None:
        reader = FrameReader(Kind.CHUNK, IDS[:1])
        assert len(reader.feed(GOOD + END_FRAME)) == 1
        reader.finish()
        with pytest.raises(RemoteProtocolError):
            reader.feed(b"\0")

    @pytest.mark.parametrize("kind", list(Kind))
    def test_payloads_longer_than_their_kind(self, kind: Kind) -> None:
        most = MAX_PLAIN[kind]
        header = struct.pack("<BBHI", Status.OBJECT, 0, 1, most + 1)
        with pytest.raises(RemoteProtocolError):  # from the header alone, before it takes memory
            FrameReader(kind, IDS[:1]).feed(header)
        (answer,) = read(raw_frame(Status.OBJECT, bytes(most)) + END_FRAME, IDS[:1], kind)
        assert isinstance(answer, Packed)
        assert answer.length == most

    def test_zstd_frames_that_say_no_size_or_a_wrong_one(self) -> None:
        unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
        bomb = zstandard.ZstdCompressor().compress(bytes(MAX_PLAIN[Kind.CHUNK] + 1))
        forged = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**40) + b"\x01\0\0"
        skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip"
        empty = zstandard.ZstdCompressor().compress(b"")
        for payload in (unsized, bomb, forged, skippable, empty):
            with pytest.raises(RemoteProtocolError):
                read(raw_frame(Status.OBJECT, payload, codec=1) + END_FRAME, IDS[:1])

    def test_answers_before_a_break_are_given(self) -> None:
        reader = FrameReader(Kind.CHUNK, IDS[:3])
        assert len(reader.feed(GOOD * 2 + raw_frame(9))) == 2
        for call in (lambda: reader.feed(b""), reader.finish, lambda: reader.feed(GOOD)):
            with pytest.raises(RemoteProtocolError):
                call()

    def test_a_stream_that_breaks_off_is_worth_another_try(self) -> None:
        data = GOOD * 3 + END_FRAME
        for size in range(len(GOOD) * 3):
            reader = FrameReader(Kind.CHUNK, IDS[:3])
            assert len(reader.feed(data[:size])) == size // len(GOOD)
            with pytest.raises(UnreachableError):
                reader.finish()

    def test_a_stream_that_lacks_only_its_end(self) -> None:
        for size in range(len(END_FRAME)):
            reader = FrameReader(Kind.CHUNK, IDS[:3])
            reader.feed(GOOD * 3 + END_FRAME[:size])
            with pytest.raises(RemoteProtocolError):
                reader.finish()


class TestSizes:
    def test_round_trip(self) -> None:
        rows = [(100, 40), None, (5, 5)]
        assert decode_sizes(Kind.CHUNK, 3, encode_sizes(rows)) == rows
        assert encode_sizes([(1, 2), None]).hex() == "01" + "00" * 7 + "02" + "00" * 7 + "ff" * 16

    @pytest.mark.parametrize(
        "row", [(0, 0), (5, 0), (5, 6), (2**40, 5), (2**64 - 1, 5), (5, 2**64 - 1)]
    )
    def test_impossible_sizes(self, row: tuple[int, int]) -> None:
        with pytest.raises(RemoteProtocolError):
            decode_sizes(Kind.CHUNK, 1, struct.pack("<QQ", *row))

    def test_other_lengths(self) -> None:
        data = encode_sizes([(1, 1), (2, 2)])
        for wrong in (b"", data[:16], data[:-1], data + b"\0", data * 2):
            with pytest.raises(RemoteProtocolError):
                decode_sizes(Kind.CHUNK, 2, wrong)
