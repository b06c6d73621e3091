from __future__ import annotations

import struct

import pytest

from casync.errors import MalformedError, RemoteProtocolError, UnsupportedError, UsageError
from casync.ids import ChunkId, Kind, ObjectId, chunk_id
from casync.limits import MAX_BATCH_BASES, MAX_BATCH_IDS
from casync.objects.delta import Group, Singles
from casync.wire.requests import (
    MAX_IDS_BYTES,
    GroupsRequest,
    decode_groups,
    decode_ids,
    decode_sizes,
    encode_groups,
    encode_ids,
    encode_sizes,
    first_groups,
    groups_after,
)

IDS: list[ObjectId] = [chunk_id(b"%d" % number) for number in range(MAX_BATCH_IDS)]


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
    def test_names_a_newer_version(self, at: int, value: int) -> None:
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


GROUPS = [Group(IDS[:2], []), Group(IDS[2:3], IDS[5:8]), Group(IDS[3:4], [])]


class TestGroups:
    def test_round_trip(self) -> None:
        data = encode_groups(Kind.NODE, GROUPS)
        assert decode_groups(data) == GroupsRequest(Kind.NODE, GROUPS)
        assert len(data) == 12 + 3 * 4 + 7 * 32

    def test_groups_of_one_are_a_plain_list(self) -> None:
        data = encode_groups(Kind.CHUNK, Singles(IDS[:3]))
        assert data == encode_ids(Kind.CHUNK, IDS[:3])
        assert decode_groups(data) == GroupsRequest(Kind.CHUNK, Singles(IDS[:3]))

    def test_the_longest(self) -> None:
        bases = (IDS * 4)[:MAX_BATCH_BASES]
        groups = [*Singles(IDS[1:]), Group(IDS[:1], bases)]
        assert len(encode_groups(Kind.CHUNK, groups)) == MAX_IDS_BYTES

    def test_a_stat_takes_no_groups(self) -> None:
        with pytest.raises(UnsupportedError):
            decode_ids(encode_groups(Kind.CHUNK, GROUPS))

    @pytest.mark.parametrize(
        "groups",
        [
            [],
            [Group([], IDS[:1])],
            [*GROUPS, Group([], [])],
            [Group(IDS[:1], (IDS * 5)[: MAX_BATCH_BASES + 1])],
            [Group(IDS, []), Group(IDS[:1], [])],
        ],
    )
    def test_refuses_to_ask_for_nothing_or_too_much(self, groups: list[Group]) -> None:
        with pytest.raises(UsageError):
            encode_groups(Kind.CHUNK, groups)

    @pytest.mark.parametrize(
        ("at", "value"),
        [
            (8, b"\3\0"),  # count
            (8, b"\5\0"),
            (10, b"\0\0"),  # groups
            (10, b"\2\0"),
            (10, b"\4\0"),
            (10, b"\xff\xff"),
            (12, b"\0\0"),  # ids of the first group
            (12, b"\1\0"),
            (12, b"\xff\xff"),
            (14, b"\1\0"),  # its bases
            (18, b"\2\0"),
            (18, b"\xff\xff"),
        ],
    )
    def test_refuses_other_headers(self, at: int, value: bytes) -> None:
        data = bytearray(encode_groups(Kind.CHUNK, GROUPS))
        data[at : at + len(value)] = value
        with pytest.raises(MalformedError):
            decode_groups(data)

    def test_refuses_other_lengths(self) -> None:
        data = encode_groups(Kind.CHUNK, GROUPS)
        for wrong in (data[:13], data[:24], data[:-1], data[:-32], data + b"\0", data + bytes(32)):
            with pytest.raises(MalformedError):
                decode_groups(wrong)

    def test_refuses_a_flag_of_groups_without_bases(self) -> None:
        header = struct.pack("<4sBBHHH", b"CASQ", 1, 1, 1, 1, 1)
        with pytest.raises(MalformedError):
            decode_groups(header + struct.pack("<HH", 1, 0) + IDS[0])

    def test_a_request_takes_the_groups_that_fit(self) -> None:
        small = [Group(IDS[:300], IDS[:100])] * 4
        assert first_groups(small) == small[:3]
        many = [Group(IDS[:1], (IDS * 2)[:1500])] * 4
        assert first_groups(many) == many[:2]
        assert first_groups(GROUPS) == GROUPS

    @pytest.mark.parametrize("count", range(5))
    def test_the_rest_of_the_groups_keeps_its_bases(self, count: int) -> None:
        rest = groups_after(GROUPS, count)
        assert [ident for group in rest for ident in group.wanted] == IDS[count:4]
        assert (IDS[5:8] in [group.bases for group in rest]) is (count < 3)


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
