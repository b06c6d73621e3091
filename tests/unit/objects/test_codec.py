"""Payloads, and the frames that a hostile peer may send instead."""

from __future__ import annotations

import random
import resource
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from casync.errors import DamagedObjectError, MalformedError, UsageError
from casync.ids import Buffer, Kind, chunk_id, object_id
from casync.limits import MAX_CHUNK_SIZE, MAX_MANIFEST_BYTES, MAX_NODE_BYTES, MIB
from casync.objects import codec
from casync.objects.codec import Codec, Packed, Packer, Unpacker, Verified

PLAIN = b"a line of text\n" * 100
FRAME = zstandard.ZstdCompressor().compress(PLAIN)
CHECKED = zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN)
BOMB = zstandard.ZstdCompressor().compress(bytes(64 * MIB))
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LARGEST = {
    Kind.CHUNK: MAX_CHUNK_SIZE,
    Kind.NODE: MAX_NODE_BYTES,
    Kind.MANIFEST: MAX_MANIFEST_BYTES,
}


def zstd(payload: bytes, length: int = len(PLAIN), kind: Kind = Kind.CHUNK) -> Packed:
    return Packed(kind, object_id(kind, PLAIN), Codec.ZSTD, length, payload)


def forged(size: int, *blocks: bytes) -> bytes:
    """A frame whose header claims `size` plain bytes: one segment, with a size field of 8 bytes."""
    return ZSTD_MAGIC + b"\xe0" + struct.pack("<Q", size) + b"".join(blocks)


def repeat_block(count: int, *, last: bool) -> bytes:
    """A block that stands for `count` times the letter a."""
    return struct.pack("<I", count << 3 | 1 << 1 | last)[:3] + b"a"


@pytest.mark.parametrize("level", [1, 9])
def test_a_batch_packs_like_its_objects_one_by_one(level: int) -> None:
    noise = random.Random(7).randbytes(70_000)
    part = memoryview(noise)[5:900]
    plains: list[Buffer] = [PLAIN, b"x", noise, noise[:9] * 500, bytes(65536), part] * 40
    items = [(chunk_id(plain), plain) for plain in plains]
    batch = Packer(level).pack_batch(Kind.CHUNK, items)
    packer, unpacker = Packer(level), Unpacker()
    assert batch == [packer.pack(Kind.CHUNK, *item) for item in items]
    assert [unpacker.unpack(packed) for packed in batch] == plains
    assert {type(packed.payload) for packed in batch} == {bytes}
    assert {packed.codec for packed in batch} == set(Codec)


def test_no_chunk_of_a_batch_is_tried_whose_samples_do_not_shrink() -> None:
    maker = random.Random(8)
    plains: list[Buffer] = [maker.randbytes(4000) for _ in range(64)]
    assert Packer().encode(plains) == plains
    plains[3] = bytes(4000)
    assert Packer().encode(plains) == plains  # the price: alone among others it stays as it is


@pytest.mark.parametrize("first", range(8))
def test_a_batch_is_packed_whole_if_eight_chunks_in_a_row_shrink(first: int) -> None:
    maker = random.Random(9)
    plains: list[Buffer] = [maker.randbytes(4000) for _ in range(29)]
    for number in (*range(first, first + 8), 21):
        plains[number] = PLAIN
    items = [(chunk_id(plain), plain) for plain in plains]
    packer = Packer()
    batch = packer.pack_batch(Kind.CHUNK, items)
    assert batch == [packer.pack(Kind.CHUNK, *item) for item in items]


def test_a_batch_without_the_call_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_ENCODES_MANY", False)  # like builds that are not compiled
    packer = Packer()
    items = [(chunk_id(plain), plain) for plain in (PLAIN, b"x")]
    single = packer.pack_batch(Kind.CHUNK, items)
    monkeypatch.undo()
    assert single == Packer().pack_batch(Kind.CHUNK, items)


def test_a_batch_of_nothing_or_of_one() -> None:
    assert Packer().pack_batch(Kind.NODE, []) == []
    item = (object_id(Kind.NODE, PLAIN), PLAIN)
    assert Packer().pack_batch(Kind.NODE, [item]) == [Packer().pack(Kind.NODE, *item)]


@pytest.mark.parametrize("kind", Kind)
def test_compressible_bytes_become_a_frame_with_their_size(kind: Kind) -> None:
    packed = Packer().pack_new(kind, PLAIN)
    assert packed.codec is Codec.ZSTD
    assert zstandard.frame_content_size(packed.payload) == packed.length == len(PLAIN)
    assert len(packed.payload) < len(PLAIN)
    assert Unpacker().unpack(packed) == PLAIN


@pytest.mark.parametrize("plain", [b"x", random.Random(1).randbytes(10_000)])
def test_incompressible_bytes_stay_raw(plain: bytes) -> None:
    packed = Packer().pack_new(Kind.CHUNK, memoryview(plain))
    assert (packed.codec, packed.payload) == (Codec.RAW, plain)
    assert type(packed.payload) is bytes
    assert Unpacker().unpack(packed) == plain


@pytest.mark.parametrize("level", [1, 3, 19, 22])
def test_the_largest_chunk_survives_every_level(level: int) -> None:
    block = random.Random(level).randbytes(5000)
    plain = (block + bytes(60_000)) * (MAX_CHUNK_SIZE // 65_000 + 1)
    packed = Packer(level).pack_new(Kind.CHUNK, plain[:MAX_CHUNK_SIZE])
    assert Unpacker().unpack(packed) == plain[:MAX_CHUNK_SIZE]


@pytest.mark.parametrize("level", [-1, 0, 23])
def test_other_levels_are_refused(level: int) -> None:
    with pytest.raises(UsageError):
        Packer(level)


def test_only_a_proved_payload_becomes_verified() -> None:
    verified = Packer().pack_new(Kind.CHUNK, PLAIN)
    again, plain = Unpacker().verify(Packed(*verified))
    assert type(again) is Verified
    assert (again, plain) == (verified, PLAIN)
    with pytest.raises(DamagedObjectError, match="holds other bytes"):
        Unpacker().verify(verified._replace(id=chunk_id(b"another")))


def test_an_object_of_another_kind_is_other_bytes() -> None:
    packed = Packer().pack_new(Kind.NODE, PLAIN)
    with pytest.raises(DamagedObjectError):
        Unpacker().unpack(packed._replace(kind=Kind.CHUNK))


@pytest.mark.parametrize("payload", [b"", PLAIN[:-1], PLAIN + b"x"])
def test_a_raw_payload_has_the_length_announced(payload: bytes) -> None:
    packed = Packed(Kind.CHUNK, chunk_id(PLAIN), Codec.RAW, len(PLAIN), payload)
    with pytest.raises(MalformedError):
        Unpacker().decode(packed)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("kind", Kind)
def test_no_object_is_empty_or_above_the_bound_of_its_kind(kind: Kind, codec: Codec) -> None:
    for length in (-1, 0, LARGEST[kind] + 1, 2**64):
        packed = Packed(kind, chunk_id(b""), codec, length, b"")
        with pytest.raises(MalformedError, match=rf"^{kind.name.lower()} of {length} bytes"):
            Unpacker().decode(packed)
    largest = Packer().pack_new(kind, bytes(LARGEST[kind]))
    assert len(Unpacker().unpack(largest)) == LARGEST[kind]


def skippable(data: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A50, len(data)) + data


def without_size() -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(PLAIN)


def with_dictionary() -> bytes:
    samples: list[Buffer] = [b"hello world " * 5 + str(i).encode() for i in range(2000)]
    trained = zstandard.train_dictionary(4000, samples)
    return zstandard.ZstdCompressor(dict_data=trained).compress(PLAIN)


def wide_window(exponent: int) -> bytes:
    """A frame of several segments that asks its decoder for 2 ** `exponent` bytes."""
    head = ZSTD_MAGIC + b"\xc0" + bytes([exponent - 10 << 3]) + struct.pack("<Q", len(PLAIN))
    return head + repeat_block(len(PLAIN), last=False)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PLAIN, id="no frame"),
        pytest.param(FRAME[:-1], id="cut short"),
        pytest.param(FRAME + b"x", id="a byte behind it"),
        pytest.param(FRAME + FRAME, id="two frames"),
        pytest.param(FRAME + skippable(b"x"), id="skippable behind it"),
        pytest.param(skippable(b"x") + FRAME, id="skippable before it"),
        pytest.param(skippable(PLAIN), id="skippable alone"),
        pytest.param(skippable(b"") + FRAME, id="empty skippable before it"),
        pytest.param(FRAME + skippable(b""), id="empty skippable behind it"),
        pytest.param(FRAME + CHECKED, id="a frame with a checksum behind it"),
        pytest.param(CHECKED + b"x", id="a byte behind a checksum"),
        pytest.param(CHECKED[:-1], id="checksum cut short"),
        pytest.param(CHECKED[:-4], id="checksum missing"),
        pytest.param(CHECKED[:-1] + bytes([CHECKED[-1] ^ 1]), id="checksum wrong"),
        pytest.param(without_size(), id="size unknown"),
        pytest.param(with_dictionary(), id="dictionary"),
        pytest.param(forged(len(PLAIN)), id="a header alone"),
        pytest.param(forged(len(PLAIN), repeat_block(10, last=True)), id="fewer bytes"),
        pytest.param(forged(len(PLAIN), repeat_block(131072, last=True)), id="more bytes"),
        pytest.param(forged(2**40, repeat_block(10, last=True)), id="claims a terabyte"),
        pytest.param(forged(2**64 - 3), id="claims all there is"),
        pytest.param(wide_window(30), id="window of a gigabyte"),
        pytest.param(wide_window(41), id="window of two terabytes"),
    ],
)
def test_a_payload_that_is_not_one_frame_of_the_length_announced(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        Unpacker().decode(zstd(payload))
    good = zstd(FRAME)
    assert Unpacker().unpack_chunks([good, zstd(payload), good]) == [PLAIN, None, PLAIN]


@pytest.mark.parametrize(("empty", "accepted"), [(0, True), (255, True), (256, False)])
def test_the_blocks_of_a_frame_are_bounded(empty: int, accepted: bool) -> None:
    length = 128 << 10
    zeros = (length << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    frame = forged(length, bytes(3) * empty, zeros)
    packed = Packed(Kind.CHUNK, chunk_id(bytes(length)), Codec.ZSTD, length, frame)
    assert Unpacker().unpack_chunks([packed]) == [bytes(length) if accepted else None]
    if not accepted:
        with pytest.raises(MalformedError, match="too many blocks"):
            Unpacker().decode(packed)


def test_a_frame_that_is_not_shorter_than_its_plain_bytes() -> None:
    plain = random.Random(4).randbytes(1000)
    packed = Packed(Kind.CHUNK, chunk_id(plain), Codec.ZSTD, 1000, zstandard.compress(plain))
    with pytest.raises(MalformedError, match="not shorter"):
        Unpacker().decode(packed)
    assert Unpacker().unpack_chunks([packed]) == [None]


def test_an_encoder_may_leave_the_size_out_where_the_payload_is_raw() -> None:
    # Some encoders write no content size below 256 bytes: such a frame is refused, raw is taken.
    plain = b"a" * 200
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(plain)
    raw = Packed(Kind.CHUNK, chunk_id(plain), Codec.RAW, 200, plain)
    unsized = raw._replace(codec=Codec.ZSTD, payload=frame)
    assert Unpacker().unpack_chunks([raw, unsized]) == [plain, None]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Limits this process to 48 MiB of address space more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 48 * MIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("length", [len(PLAIN), 64 * MIB, 2**40, 2**62, 2**63, 2**64 - 3])
def test_bombs_cost_no_memory(length: int) -> None:
    unpacker = Unpacker()
    for payload in (
        BOMB,
        forged(length),
        forged(length, repeat_block(131072, last=False) * 999),
        wide_window(30),
        wide_window(27),
    ):
        with pytest.raises(MalformedError):
            unpacker.decode(zstd(payload, length))


def test_a_broken_frame_does_not_spoil_the_next() -> None:
    unpacker = Unpacker()
    with pytest.raises(MalformedError):
        unpacker.decode(zstd(FRAME[:-3]))
    assert unpacker.decode(zstd(FRAME)) == PLAIN


def test_a_batch_unpacks_like_its_objects_one_by_one() -> None:
    packer = Packer()
    plains = [PLAIN, b"x", random.Random(2).randbytes(5000), PLAIN * 3]
    packed = [packer.pack_new(Kind.CHUNK, plain) for plain in plains]
    assert Unpacker().unpack_chunks(packed) == plains
    assert Unpacker().unpack_chunks([]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": chunk_id(b"another")},
        {"length": len(PLAIN) + 1},
        {"length": 0},
        {"payload": b""},
        {"payload": b"\0" * 40},
        {"payload": Packer().pack_new(Kind.CHUNK, PLAIN).payload[:-1]},
        {"payload": zstandard.compress(bytes(1 << 30))},
        {"codec": Codec.RAW},
    ],
)
def test_one_wrong_object_leaves_the_others_of_its_batch(change: dict[str, object]) -> None:
    packer = Packer()
    good = [packer.pack_new(Kind.CHUNK, plain) for plain in (PLAIN, PLAIN * 2, b"raw")]
    wrong = Packed(*good[0])._replace(**change)  # type: ignore[arg-type]
    found = Unpacker().unpack_chunks([good[0], wrong, *good[1:]])
    assert found == [PLAIN, None, PLAIN * 2, b"raw"]


def test_many_without_the_call_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_DECODES_MANY", False)
    packed = [Packer().pack_new(Kind.CHUNK, plain) for plain in (PLAIN, b"x")]
    assert Unpacker().unpack_chunks(packed) == [PLAIN, b"x"]


def test_a_thread_makes_one_decoder_for_all_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some processors, virtual ones above all, take longer to make it than to read a small file."""
    made: list[int] = []
    make = zstandard.ZstdDecompressor

    def counted(*, max_window_size: int) -> zstandard.ZstdDecompressor:
        made.append(threading.get_ident())
        return make(max_window_size=max_window_size)

    monkeypatch.setattr(zstandard, "ZstdDecompressor", counted)
    packed = [Packer().pack_new(Kind.CHUNK, PLAIN * n) for n in range(1, 50)]
    shared, found = Unpacker(), dict[int, bytes]()

    def read() -> None:
        for number, one in enumerate(packed):
            found[number] = shared.decode(one) + Unpacker().decode(one)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: PLAIN * 2 * (number + 1) for number in range(len(packed))}
    assert len(made) == 3


@pytest.mark.parametrize("level", [1, 19])
@pytest.mark.parametrize("checksum", [False, True])
def test_frames_of_all_kinds_of_blocks(level: int, *, checksum: bool) -> None:
    zstd = zstandard.ZstdCompressor(level=level, write_checksum=checksum)
    noise = random.Random(3).randbytes(300_000)
    for plain in (PLAIN, bytes(500_000), noise + bytes(200_000) + PLAIN):
        frame = zstd.compress(plain)
        packed = Packed(Kind.CHUNK, chunk_id(plain), Codec.ZSTD, len(plain), frame)
        assert Unpacker().unpack_chunks([packed]) == [plain]
        assert Unpacker().unpack(packed) == plain
        for more in (b"x", frame):
            assert Unpacker().unpack_chunks([packed._replace(payload=frame + more)]) == [None]
