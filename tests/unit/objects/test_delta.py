"""A delta holds what its group wanted, or is refused before it costs memory."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Sequence

import pytest
import zstandard

from casync.errors import IntegrityError, MalformedError
from casync.ids import Buffer, ChunkId, Kind, ObjectId, chunk_id, node_id
from casync.limits import MIB
from casync.objects.codec import Packer
from casync.objects.delta import Delta, pack_group, unpack_group
from casync.objects.node import NodeBuilder, Run

BASE = random.Random(1).randbytes(60_000)
PLAINS = [BASE[:20_000] + b"changed" + BASE[20_000:30_000], BASE[30_000:] + b"appended"]
IDS: list[ObjectId] = [chunk_id(plain) for plain in PLAINS]
LENGTHS = [len(plain) for plain in PLAINS]
WHOLE = list(zip(IDS, PLAINS, strict=True))


def packed(bases: Sequence[Buffer] = (BASE,)) -> Delta:
    return pack_group(Kind.CHUNK, IDS, PLAINS, bases)


@pytest.mark.parametrize("bases", [[BASE], [BASE[:9000], memoryview(BASE)[9000:]], [b"other"], []])
def test_a_group_comes_back(bases: list[Buffer]) -> None:
    delta = packed(bases)
    assert unpack_group(delta, bases, LENGTHS) == WHOLE
    assert (len(delta.payload) < 1000) is (len(b"".join(bases)) == len(BASE))


def test_bases_that_look_like_a_dictionary_are_plain_bytes() -> None:
    trained = zstandard.train_dictionary(
        4096, [BASE[at : at + 500] for at in range(0, 50_000, 100)]
    ).as_bytes()
    assert trained[:4] == struct.pack("<I", 0xEC30A437)
    delta = pack_group(Kind.CHUNK, IDS, PLAINS, [trained])
    assert not zstandard.get_frame_parameters(delta.payload).dict_id
    assert unpack_group(delta, [trained], LENGTHS) == WHOLE


def nodes(seed: int) -> list[bytes]:
    found: list[bytes] = []
    builder = NodeBuilder(lambda _, data: found.append(data))
    for number in range(1000):
        drawn = number if number % 200 else number + seed
        builder.add(Run(ChunkId(random.Random(drawn).randbytes(32)), 16_000 + number, 1))
    builder.finish()
    return found


def test_nodes_give_their_own_lengths() -> None:
    new, old = nodes(10_000), nodes(0)
    delta = pack_group(Kind.NODE, [node_id(node) for node in new], new, old)
    assert [plain for _, plain in unpack_group(delta, old)] == new
    assert len(delta.payload) < 1000


@pytest.mark.parametrize("shift", [-1, 1, 7])
def test_one_wrong_object_does_not_spoil_the_others(shift: int) -> None:
    plains = [PLAINS[0], bytes(len(PLAINS[1]))]
    delta = pack_group(Kind.CHUNK, IDS, plains, [BASE])
    assert unpack_group(delta, [BASE], LENGTHS) == WHOLE[:1]
    lengths = [LENGTHS[0] + shift, LENGTHS[1] - shift]
    assert unpack_group(packed(), [BASE], lengths) == []


@pytest.mark.parametrize("claim", [0, 1, 511, 512, 65535])
def test_nodes_that_lie_about_their_length_are_left_out(claim: int) -> None:
    new = nodes(10_000)
    lying = [new[0][:6] + struct.pack("<H", claim) + new[0][8:], *new[1:]]
    delta = pack_group(Kind.NODE, [node_id(node) for node in new], lying, [])
    assert unpack_group(delta, []) == []


def zstd(plain: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(plain)  # type: ignore[arg-type]


def wide(plain: bytes) -> bytes:
    """A frame that needs a window of 16 MiB, in several blocks as a stream has them."""
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    whole = stream.compress(plain) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return whole + stream.flush()


JOINED = b"".join(PLAINS)
WORDS = zstandard.train_dictionary(4096, [BASE[at : at + 500] for at in range(0, 50_000, 100)])
SKIPPABLE = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip"
LIES = {
    "too short": zstd(JOINED[:-1]),
    "too long": zstd(JOINED + b"x"),
    "bomb": zstd(bytes(512 * MIB)),
    "no size": zstd(JOINED, write_content_size=False),
    "wide window": wide(JOINED),
    "dictionary id": zstd(JOINED, dict_data=WORDS),
    "two frames": packed().payload + zstd(b"x"),
    "skippable first": SKIPPABLE + packed().payload,
    "skippable last": packed().payload + SKIPPABLE,
    "trailing byte": packed().payload + b"\0",
    "cut": packed().payload[:-5],
    "nothing": b"",
    "garbage": b"garbage",
    "forged size": b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(JOINED)) + b"\1\0\0",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_frame_is_refused(lie: str) -> None:
    delta = packed()._replace(payload=LIES[lie])
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            unpack_group(delta, [BASE], LENGTHS)
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()


def test_another_base_gives_nothing_wrong() -> None:
    for base in (BASE[:-1], BASE[1:], BASE[:30_000] + b"?" + BASE[30_001:], b""):
        try:
            found = unpack_group(packed(), [base], LENGTHS)
        except IntegrityError:
            continue
        assert set(found) < set(WHOLE)


def test_a_group_above_its_bound_is_refused() -> None:
    plain = bytes(5 * MIB)
    delta = pack_group(Kind.CHUNK, [chunk_id(plain)], [plain], [])
    with pytest.raises(MalformedError):
        unpack_group(delta, [], [len(plain)])


def test_frames_of_another_encoder_are_accepted() -> None:
    words = zstandard.ZstdCompressionDict(BASE, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    for level in (1, 7, 19):
        payload = zstd(JOINED, level=level, dict_data=words)
        assert unpack_group(packed()._replace(payload=payload), [BASE], LENGTHS) == WHOLE
    assert Packer().pack_new(Kind.CHUNK, PLAINS[0]).id == IDS[0]
