"""Nodes: their layout, refused nodes, and the nodes that the builder makes."""

from __future__ import annotations

import struct
from itertools import islice

import pytest

from casync.errors import MalformedError, UnsupportedError, UsageError
from casync.ids import NodeId, chunk_id, node_id, zero_chunk_id
from casync.limits import (
    MAX_CHUNK_SIZE,
    MAX_LENGTH,
    MAX_NODE_BYTES,
    NODE_MAX_RECORDS,
    NODE_MIN_RECORDS,
    TIB,
)
from casync.objects.chunk_runs import runs
from casync.objects.node import (
    EMPTY,
    Content,
    Node,
    NodeBuilder,
    Record,
    Run,
    decode_node,
)

OPEN = bytes(31) + b"\x01"  # leaves a node open
CLOSING = b"\xff" * 31 + b"\x80"  # closes a node from the 16th record on


def encode(
    level: int, *records: tuple[bytes, int], magic: bytes = b"CASN", version: int = 1
) -> bytes:
    header = struct.pack("<4sBBH", magic, version, level, len(records))
    return header + b"".join(struct.pack("<32sQ", *record) for record in records)


class Nodes(dict[bytes, bytes]):
    """Nodes by id; counts the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched = 0

    def build(self, *all_runs: Run) -> Content:
        builder = NodeBuilder(self.__setitem__)
        for run in all_runs:
            builder.add(run)
        return builder.finish()

    def fetch(self, ident: NodeId, level: int, length: int) -> Node:
        self.fetched += 1
        return decode_node(self[ident], level, length)


def test_layout() -> None:
    data = encode(1, (OPEN, 5), (CLOSING, 2**32))
    assert len(data) == 8 + 2 * 40
    assert data[:8] == b"CASN\x01\x01\x02\x00"
    assert data[8:48] == OPEN + b"\x05" + bytes(7)
    assert decode_node(encode(2, (OPEN, 5), (CLOSING, 2**32)), 2, 2**32 + 5) == Node(
        2, [Record(OPEN, 5), Record(CLOSING, 2**32)]
    )


def test_builder_writes_what_the_layout_says() -> None:
    nodes = Nodes()
    content = nodes.build(Run(OPEN, 5, 1), Run(CLOSING, 7, 2))
    data = encode(1, (OPEN, 5), (CLOSING, 7), (CLOSING, 7))
    assert content == Content(1, node_id(data), 19)
    assert dict(nodes) == {content.id: data}


def test_the_largest_node() -> None:
    data = encode(1, *[(OPEN, 9)] * NODE_MAX_RECORDS)
    assert len(data) == MAX_NODE_BYTES
    assert decode_node(data, 1, 9 * NODE_MAX_RECORDS).length == 9 * NODE_MAX_RECORDS


GOOD = encode(1, (OPEN, 5), (OPEN, 6))


@pytest.mark.parametrize(
    ("data", "level", "length"),
    [
        pytest.param(b"", 1, 11, id="nothing"),
        pytest.param(GOOD[:7], 1, 11, id="part of a header"),
        pytest.param(encode(1, (OPEN, 11), magic=b"CASM"), 1, 11, id="magic"),
        pytest.param(encode(1, (OPEN, 11), version=0), 1, 11, id="version 0"),
        pytest.param(GOOD, 2, 11, id="another level"),
        pytest.param(encode(0, (OPEN, 11)), 0, 11, id="level 0"),
        pytest.param(encode(9, (OPEN, 11)), 9, 11, id="level 9"),
        pytest.param(encode(1), 1, 0, id="no records"),
        pytest.param(encode(1, *[(OPEN, 1)] * 513), 1, 513, id="too many records"),
        pytest.param(GOOD[:-1], 1, 11, id="cut short"),
        pytest.param(GOOD + b"\x00", 1, 11, id="a byte behind it"),
        pytest.param(encode(1, (OPEN, 11), (OPEN, 0)), 1, 11, id="an empty record"),
        pytest.param(GOOD, 1, 12, id="wrong sum"),
        pytest.param(encode(1, (OPEN, MAX_CHUNK_SIZE + 1)), 1, MAX_CHUNK_SIZE + 1, id="huge chunk"),
        pytest.param(
            encode(2, (OPEN, MAX_LENGTH), (OPEN, 1)), 2, MAX_LENGTH + 1, id="above the longest"
        ),
        pytest.param(encode(2, (OPEN, 2**64 - 1), (OPEN, 2)), 2, 1, id="a sum that would wrap"),
        pytest.param(
            encode(1, *[(OPEN, 1)] * 15, (CLOSING, 1), (OPEN, 1)), 1, 17, id="goes on when closed"
        ),
    ],
)
def test_malformed(data: bytes, level: int, length: int) -> None:
    with pytest.raises(MalformedError):
        decode_node(data, level, length)


def test_a_later_version_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="version 2"):
        decode_node(encode(1, (OPEN, 11), version=2), 1, 11)


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_any_buffer_is_accepted(buffer: type) -> None:
    assert decode_node(buffer(GOOD), 1, 11).records == [Record(OPEN, 5), Record(OPEN, 6)]


def test_empty_content_needs_no_object() -> None:
    nodes = Nodes()
    assert nodes.build() == nodes.build(Run(OPEN, 5, 0)) == EMPTY
    assert not nodes
    assert list(runs(EMPTY, nodes.fetch)) == []


def test_one_chunk_is_its_own_root() -> None:
    nodes = Nodes()
    content = nodes.build(Run(OPEN, 5, 1))
    assert content == Content(0, OPEN, 5)
    assert not nodes
    assert list(runs(content, nodes.fetch)) == [(0, Run(OPEN, 5, 1))]


@pytest.mark.parametrize(("ident", "full"), [(CLOSING, NODE_MIN_RECORDS), (OPEN, NODE_MAX_RECORDS)])
def test_where_nodes_of_equal_records_close(ident: bytes, full: int) -> None:
    for times, level, count in [(full, 1, 1), (full + 1, 2, 3), (2 * full, 2, 2)]:
        nodes = Nodes()
        content = nodes.build(Run(ident, 5, times))
        assert (content.level, content.length, len(nodes)) == (level, 5 * times, count)
        assert list(runs(content, nodes.fetch)) == [(0, Run(ident, 5, times))] or count == 3


def test_a_closing_record_closes_only_from_the_sixteenth_on() -> None:
    nodes = Nodes()
    nodes.build(
        Run(OPEN, 5, 1), Run(CLOSING, 5, 1), Run(OPEN, 5, 13), Run(CLOSING, 5, 1), Run(OPEN, 5, 1)
    )
    first = encode(1, (OPEN, 5), (CLOSING, 5), *[(OPEN, 5)] * 13, (CLOSING, 5))
    assert nodes[node_id(first)] == first
    assert nodes[node_id(encode(1, (OPEN, 5)))]


def test_a_sparse_disk_of_ten_terabytes_is_a_handful_of_nodes_and_steps() -> None:
    nodes = Nodes()
    hole = Run(zero_chunk_id(65536), 65536, 10 * TIB // 65536)
    content = nodes.build(Run(chunk_id(b"a"), 4096, 1), hole, Run(chunk_id(b"z"), 999, 1))
    assert content.length == 4096 + 10 * TIB + 999
    assert len(nodes) < 20
    walked = list(runs(content, nodes.fetch))
    assert len(walked) < 20
    assert nodes.fetched < 100
    assert sum(run.times for _, run in walked) == 10 * TIB // 65536 + 2
    offset, run = next(runs(content, nodes.fetch, content.length - 1000))
    assert offset <= content.length - 1000 < offset + run.length


def test_a_walk_reads_each_node_of_plain_content_once() -> None:
    nodes = Nodes()
    content = nodes.build(*[Run(chunk_id(b"%d" % i), 100 + i % 7, 1) for i in range(5000)])
    assert content.level == 2
    assert len(list(runs(content, nodes.fetch))) == 5000
    assert nodes.fetched == len(nodes)


def test_a_walk_starts_at_an_offset() -> None:
    nodes = Nodes()
    content = nodes.build(Run(OPEN, 10, 3), Run(CLOSING, 7, 2))
    assert list(runs(content, nodes.fetch, 0)) == [(0, Run(OPEN, 10, 3)), (30, Run(CLOSING, 7, 2))]
    assert next(runs(content, nodes.fetch, 10)) == (10, Run(OPEN, 10, 2))
    assert next(runs(content, nodes.fetch, 29)) == (20, Run(OPEN, 10, 1))
    assert next(runs(content, nodes.fetch, 43)) == (37, Run(CLOSING, 7, 1))
    assert list(runs(content, nodes.fetch, 44)) == []


def test_content_longer_than_a_file_may_be_is_refused() -> None:
    builder = NodeBuilder(lambda ident, data: None)
    builder.add(Run(OPEN, 2**20, 2**43 - 1))
    with pytest.raises(UsageError, match="more than"):
        builder.add(Run(OPEN, 2**20, 1))


def test_content_that_needs_a_ninth_level_is_refused() -> None:
    # Equal chunks give 9 bits of count a level, and only 4 where the id happens to close. The test
    # searches a chunk that closes and whose first node closes: 2 ** 62 of them fill eight levels.
    for number in range(100_000):
        ident = number.to_bytes(31, "big") + b"\x80"
        if node_id(encode(1, *[(ident, 1)] * NODE_MIN_RECORDS))[-1] & 0x7F == 0:
            break
    builder = NodeBuilder(lambda ident, data: None)
    with pytest.raises(UsageError, match="use a larger chunk size"):
        builder.add(Run(ident, 1, 2**62))


@pytest.mark.parametrize("level", [1, 2])
def test_a_root_with_a_single_record_is_refused(level: int) -> None:
    def fetch(ident: NodeId, level: int, length: int) -> Node:
        return Node(level, [Record(OPEN, length)])

    with pytest.raises(MalformedError, match="single record"):
        list(runs(Content(level, OPEN, 5), fetch))


def test_a_lower_node_may_have_a_single_record() -> None:
    nodes = Nodes()
    content = nodes.build(Run(OPEN, 5, NODE_MAX_RECORDS), Run(CLOSING, 7, 1))
    assert content.level == 2
    assert sum(run.times for _, run in runs(content, nodes.fetch)) == NODE_MAX_RECORDS + 1


def test_a_dag_that_repeats_itself_is_walked_lazily() -> None:
    # Twelve nodes that stand for 2 ** 54 chunks of one byte, no two adjacent ones alike. A whole
    # walk would never finish; one that starts in the middle takes only its own steps.
    nodes = Nodes()
    one, other, length = OPEN, CLOSING[:-1] + b"\x81", 1
    for level in range(1, 7):
        pair = [(one, length), (other, length)]
        data = [encode(level, *pair * 256), encode(level, *pair[::-1] * 256)]
        one, other = map(node_id, data)
        nodes.update(zip((one, other), data, strict=True))
        length *= 512
        if one[-1] & 0x7F == 0 or other[-1] & 0x7F == 0:
            raise AssertionError("choose other ids: these nodes would close")
    walk = runs(Content(6, one, length), nodes.fetch, length // 2)
    offsets = [offset for offset, _ in islice(walk, 2000)]
    assert offsets == list(range(length // 2, length // 2 + 2000))
    assert nodes.fetched < 50
