"""Objects of trees that are made by hand, without a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from casync.ids import Kind, NodeId, ObjectId, chunk_id
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.manifest import Manifest
from casync.objects.node import EMPTY, Content, NodeBuilder, Run
from casync.objects.tree import Entry, File, Folder, encode_entry, encode_root
from tests.support.tree_entries import CONTENT, META


class Objects:
    """Objects by id, and how often each was fetched."""

    def __init__(self) -> None:
        self.plain: dict[ObjectId, bytes] = {}
        self.fetched: list[ObjectId] = []
        self.calls = 0

    def fetch(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        self.fetched += ids
        self.calls += 1
        return map(self.plain.get, ids)

    def content(self, data: bytes) -> Content:
        if not data:
            return EMPTY
        self.plain[chunk_id(data)] = data
        return Content(0, chunk_id(data), len(data))

    def crumbs(self, data: bytes) -> Content:
        """The same content as chunks of one byte each, as a hostile writer would cut it."""
        builder = NodeBuilder(self._put)
        for value, run in groupby(data):
            byte = bytes((value,))
            self.plain[chunk_id(byte)] = byte
            builder.add(Run(chunk_id(byte), 1, sum(1 for _ in run)))
        return builder.finish()

    def _put(self, ident: NodeId, data: bytes) -> None:
        self.plain[ident] = data

    def folder(self, *inside: Entry) -> Content:
        return self.content(b"".join(map(encode_entry, inside)))

    def tree(self, *inside: Entry) -> Manifest:
        return self.tree_of(self.folder(*inside))

    def tree_of(self, folder: Content) -> Manifest:
        root = Folder(b"", META, folder)
        return Manifest("tree", DEFAULT_PARAMS, self.content(encode_root(root)))


def file(name: bytes, content: Content = CONTENT) -> File:
    return File(name, META, None, content)


def folder(name: bytes, content: Content = EMPTY) -> Folder:
    return Folder(name, META, content)
