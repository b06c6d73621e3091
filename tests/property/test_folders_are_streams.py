"""Law: a folder read in any pieces equals the folder that was written."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import MalformedError
from casync.objects.node import Content
from casync.objects.tree import (
    Entry,
    EntryReader,
    File,
    Folder,
    Meta,
    decode_root,
    encode_entry,
    encode_root,
)
from tests.property.test_garbage_is_refused import lies
from tests.support.tree_entries import CONTENT, META, contents, folders, metas


def read(*pieces: bytes) -> list[Entry]:
    reader = EntryReader()
    found = [entry for piece in pieces for entry in reader.feed(piece)]
    reader.finish()
    return found


@given(folders, st.data())
def test_any_split_is_the_whole(folder: list[Entry], draw: st.DataObject) -> None:
    stream = b"".join(map(encode_entry, folder))
    at = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]
    assert read(*pieces) == read(stream) == folder
    assert read(*(bytes([byte]) for byte in stream)) == folder


@given(folders.filter(bool), st.data())
def test_no_part_of_a_folder_ends_inside_an_entry(folder: list[Entry], draw: st.DataObject) -> None:
    encoded = [encode_entry(entry) for entry in folder]
    ends = {sum(map(len, encoded[:count])) for count in range(len(encoded) + 1)}
    stream = b"".join(encoded)
    size = draw.draw(st.integers(0, len(stream)).filter(lambda size: size not in ends))
    with pytest.raises(MalformedError):
        read(stream[:size])


STREAM = b"".join(encode_entry(File(name, META, None, CONTENT)) for name in (b"a", b"b"))


@given(lies(STREAM))
def test_what_is_read_encodes_to_the_same_bytes(data: bytes) -> None:
    with suppress(MalformedError):
        assert b"".join(map(encode_entry, read(data))) == data


@given(metas, contents)
def test_roots_round_trip(meta: Meta, content: Content) -> None:
    root = Folder(b"", meta, content)
    assert decode_root(encode_root(root)) == root


@given(lies(encode_root(Folder(b"", META, CONTENT))))
def test_garbage_is_not_a_root(data: bytes) -> None:
    with suppress(MalformedError):
        assert encode_root(decode_root(data)) == data
