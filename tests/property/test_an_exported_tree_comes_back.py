"""Law: a tree that is exported as tar and unpacked again is the same tree, to its hash."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from casync.access.locate import locate
from casync.access.progress import SILENT
from casync.access.tree_load import Tree
from casync.archives.writing.new_format import NewFormat
from casync.cutting.small import cut_small
from casync.fs.source.file import StreamSource
from casync.names.name import Ref
from casync.objects.tree import Device, File, Leaf, Link, Meta, Pipe
from casync.ops.archive.export import TreeExport, export_tree
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.prepare.tree_builder import KnownEntry, TreeBuilder, name_of
from casync.ops.prepare.unpack import prepare_archive
from casync.store.memory import MemoryStore
from tests.support.pulling import noise
from tests.support.tree_entries import attributes, names, targets, u32
from tests.support.tree_worlds import PARAMS

_OPTIONS = PrepareOptions(params=PARAMS)
_NOISE = {size: noise(1, size) for size in (0, 1, 512, 9_000)}

owners = st.text(max_size=40).filter(lambda name: name.isprintable())
metas = st.builds(
    Meta,
    st.integers(0, 0o7777),
    st.sampled_from([0, -1, 10**9, 2**33 * 10**9 + 1]) | st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**21) | u32,
    u32,
    owners,
    owners,
    attributes | st.just(((b"user.a=b%3D\n", b"\0\n=\xff"), (b"user.empty", b""))),
)
leaves = (
    st.tuples(metas, st.sampled_from([0, 1, 512, 9_000]).map(lambda size: _NOISE[size]))
    | st.builds(Link, st.just(b""), metas, st.none(), targets)
    | st.builds(Device, st.just(b""), metas, st.none(), st.booleans(), u32, u32)
    | st.builds(Pipe, st.just(b""), metas, st.none())
)
long_names = names | st.binary(min_size=45, max_size=127).map(lambda one: one.hex().encode())

_Named: TypeAlias = "tuple[Meta, bytes] | Leaf | int | tuple[Meta, Mapping[bytes, _Named]]"
"""A file, another leaf, a hard link to the n-th leaf before it, or a folder."""

folders = st.recursive(
    st.tuples(metas, st.dictionaries(long_names, leaves | st.integers(0, 5), max_size=5)),
    lambda inner: st.tuples(
        metas, st.dictionaries(long_names, leaves | st.integers(0, 5) | inner, max_size=4)
    ),
    max_leaves=5,
)


class _Build:
    """Puts a drawn folder into a store."""

    def __init__(self, store: MemoryStore) -> None:
        self._builder = TreeBuilder("tree", store, _OPTIONS, SILENT, readers=1)
        self._leaves: list[Leaf] = []

    def run(self, root: tuple[Meta, Mapping[bytes, _Named]]) -> FolderPrepared:
        with self._builder:
            self._folder(b"", root)
            return self._builder.finish()

    def _folder(self, path: bytes, folder: tuple[Meta, Mapping[bytes, _Named]]) -> None:
        meta, entries = folder
        self._builder.enter(path, meta)
        for name in sorted(entries):
            inside = path + b"/" + name if path else name
            entry = entries[name]
            if isinstance(entry, int):
                if self._leaves:
                    self._leaf(inside, entry % len(self._leaves))
            elif isinstance(entry, tuple) and not isinstance(entry[1], bytes):
                self._folder(inside, (entry[0], entry[1]))
            else:
                if isinstance(entry, tuple):
                    assert isinstance(entry[1], bytes)
                    content = self._builder.tree_writer.take(cut_small(entry[1], PARAMS))
                    entry = File(b"", entry[0], None, content)
                self._leaves.append(entry)
                self._leaf(inside, len(self._leaves) - 1)
        self._builder.leave()

    def _leaf(self, path: bytes, number: int) -> None:
        if not self._builder.is_hard_link(path, number):
            named = replace(self._leaves[number], name=name_of(path))
            self._builder.put(path, KnownEntry(named, None, number))


def exported(store: MemoryStore, tree: FolderPrepared, made: NewFormat) -> TreeExport:
    content = locate(Ref(manifest=tree.manifest), store).content
    assert isinstance(content, Tree)
    return export_tree(content, store, made)


def unpacked(data: bytes, store: MemoryStore) -> FolderPrepared:
    return prepare_archive(StreamSource(io.BytesIO(data)), store, _OPTIONS)


@settings(deadline=None, max_examples=100)
@given(folders, st.data())
def test_a_tree_comes_back_from_its_archive(
    root: tuple[Meta, Mapping[bytes, _Named]], data: st.DataObject
) -> None:
    """A7"""
    store = MemoryStore()
    tree = _Build(store).run(root)
    tar = exported(store, tree, NewFormat.TAR)
    whole = b"".join(tar.read())
    assert tar.length == len(whole)
    back = unpacked(whole, MemoryStore())
    assert not back.left_out
    assert back.manifest == tree.manifest
    start, end = sorted(
        data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole))))
    )
    assert b"".join(tar.read_range(start, end)) == whole[start:end]
    tgz = b"".join(exported(store, tree, NewFormat.TGZ).read())
    assert unpacked(tgz, store).manifest == tree.manifest
