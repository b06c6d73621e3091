"""Law: a parser given any bytes returns their value or raises an error of ours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casync.errors import IntegrityError, MalformedError, UnsupportedError, UsageError
from casync.ids import Kind, chunk_id
from casync.names.name import parse_name, parse_ref
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.objects.codec import Codec, Packed, Packer, Unpacker
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.objects.node import Content, NodeBuilder, Run, decode_node

RECORDS = [Run(chunk_id(b"%d" % number), 100 + number, 1) for number in range(14)]
MANIFEST = encode_manifest(Manifest("file", DEFAULT_PARAMS, Content(3, chunk_id(b"x"), 10**9)))
FRAME = Packer().pack_new(Kind.CHUNK, b"some text " * 50)


def node() -> tuple[bytes, int]:
    """An encoded node of level 1 and its length."""
    made: list[bytes] = []
    builder = NodeBuilder(lambda ident, data: made.append(data))
    for run in RECORDS:
        builder.add(run)
    content = builder.finish()
    return made[0], content.length


NODE, NODE_LENGTH = node()


def mutated(valid: bytes) -> st.SearchStrategy[bytes]:
    """`valid` with bytes replaced, removed or inserted."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        start = draw(st.integers(0, len(valid)))
        end = draw(st.integers(start, min(start + 4, len(valid))))
        return valid[:start] + draw(st.binary(max_size=6)) + valid[end:]

    return change()


def lies(valid: bytes) -> st.SearchStrategy[bytes]:
    """Garbage, garbage after a valid start, and modified valid bytes."""
    behind = st.builds(lambda size, more: valid[:size] + more, st.integers(0, 60), st.binary())
    return st.binary(max_size=300) | behind | mutated(valid)


@given(lies(NODE), st.integers(-1, 9), st.just(NODE_LENGTH) | st.integers(0, 2**64))
def test_nodes(data: bytes, level: int, length: int) -> None:
    try:
        decoded = decode_node(data, level, length)
    except (MalformedError, UnsupportedError):
        return
    assert (decoded.level, decoded.length) == (level, length)


@given(lies(NODE))
def test_nodes_of_the_right_level(data: bytes) -> None:
    try:
        decoded = decode_node(data, 1, NODE_LENGTH)
    except (MalformedError, UnsupportedError):
        return
    assert len(data) == 8 + 40 * len(decoded.records)


@given(lies(MANIFEST))
def test_manifests(data: bytes) -> None:
    try:
        manifest = decode_manifest(data)
    except (MalformedError, UnsupportedError):
        return
    assert encode_manifest(manifest) == data


@given(
    lies(bytes(FRAME.payload)),
    st.sampled_from(Kind),
    st.sampled_from(Codec),
    st.integers(-1, 2**64),
)
def test_payloads(payload: bytes, kind: Kind, codec: Codec, length: int) -> None:
    for announced in (length, FRAME.length, len(payload)):
        packed = Packed(kind, FRAME.id, codec, announced, payload)
        try:
            plain = Unpacker().unpack(packed)
        except IntegrityError:
            continue
        assert (chunk_id(plain), len(plain)) == (FRAME.id, announced)


@given(st.text(st.characters(exclude_categories=())) | st.text(":@/-.\\abcdef019%\x7f\n"))
def test_names_and_refs(text: str) -> None:
    for parse in (parse_name, parse_ref):
        try:
            parsed = parse(text)
        except UsageError:
            continue
        assert str(parsed) == text


@given(*[st.integers(-(2**70), 2**70) | st.integers(60, 5000)] * 3)
def test_chunk_sizes(minimum: int, average: int, maximum: int) -> None:
    try:
        params = ChunkerParams(minimum, average, maximum)
    except UsageError:
        return
    assert 64 <= params.min_size <= params.avg_size <= params.max_size <= 2**24
