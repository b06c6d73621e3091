"""Entries to test with."""

from __future__ import annotations

from hypothesis import strategies as st

from casync.ids import chunk_id
from casync.limits import MAX_LENGTH
from casync.objects.node import EMPTY, Content
from casync.objects.tree import Device, Entry, File, Folder, Link, Meta, Pipe

CONTENT = Content(0, chunk_id(b"x"), 1)
META = Meta(0o644, 1_700_000_000_123_456_789, 1000, 100, "ann", "users", ())

names = st.binary(min_size=1, max_size=40).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in (b".", b"..")
)
attributes = st.dictionaries(names, st.binary(max_size=50), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)
u32 = st.integers(0, 2**32 - 1)
owners = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
metas = st.builds(
    Meta, st.integers(0, 0o7777), st.integers(-(2**63), 2**63 - 1), u32, u32, owners, owners,
    attributes,
)  # fmt: skip
contents = st.just(EMPTY) | st.builds(
    lambda level, ident, length: Content(level, chunk_id(ident), length),
    st.integers(1, 8),
    st.binary(min_size=1, max_size=4),
    st.integers(1, MAX_LENGTH),
)
hard_links = st.none() | st.lists(names, min_size=1, max_size=4).map(b"/".join)
targets = st.binary(min_size=1, max_size=60).map(lambda target: target.replace(b"\0", b"/"))


def entries(name: st.SearchStrategy[bytes] = names) -> st.SearchStrategy[Entry]:
    """Every kind of entry."""
    return (
        st.builds(File, name, metas, hard_links, contents)
        | st.builds(Folder, name, metas, contents)
        | st.builds(Link, name, metas, hard_links, targets)
        | st.builds(Device, name, metas, hard_links, st.booleans(), u32, u32)
        | st.builds(Pipe, name, metas, hard_links)
    )


folders = st.lists(entries(), max_size=12, unique_by=lambda entry: entry.name).map(
    lambda found: sorted(found, key=lambda entry: entry.name)
)
