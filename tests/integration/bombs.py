"""Trees and files with impossible claims, pulled by a process that runs this module.

`python -m tests.integration.bombs CASE FOLDER` prints how the pull ended, and what it left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from casync.access.endpoints import Endpoints
from casync.errors import CasyncError
from casync.ids import Kind, ManifestId, chunk_id
from casync.limits import MAX_LEVEL, MAX_TREE_DEPTH
from casync.names.name import Ref
from casync.objects.codec import Packer, Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import EMPTY, Content, NodeBuilder, Run
from casync.objects.tree import File, Folder, Meta, encode_entry, encode_root
from casync.store.base import Batch, ManifestState
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled
from tests.support.pulling import PARAMS, MemoryServer, pull_file

META = Meta(0o755, 1_700_000_000_000_000_000, os.geteuid(), os.getegid(), "", "", ())


class Liar(MemoryServer):
    """A server of hand-made content."""

    def chunk(self, data: bytes) -> Content:
        self.commit(Batch([Packer().pack_new(Kind.CHUNK, data)]))
        return Content(0, chunk_id(data), len(data))

    def repeated(self, data: bytes, count: int) -> Content:
        """Repeated bytes, whose nodes repeat, too."""
        chunk = self.chunk(data)
        nodes: list[Verified] = []
        builder = NodeBuilder(lambda _, node: nodes.append(Packer().pack_new(Kind.NODE, node)))
        builder.add(Run(chunk_id(data), chunk.length, count))
        content = builder.finish()
        self.commit(Batch(nodes))
        return content

    def publish(self, kind: str, content: Content) -> ManifestId:
        manifest = Manifest("tree" if kind == "tree" else "file", PARAMS, content)
        packed = Packer().pack_new(Kind.MANIFEST, encode_manifest(manifest))
        ident = ManifestId(packed.id)
        self.commit(Batch([packed], [(ident, ManifestState.FULL, content.length)]))
        return ident

    def tree(self, folder: Content) -> ManifestId:
        return self.publish("tree", self.chunk(encode_root(Folder(b"", META, folder))))


def _entries(server: Liar) -> ManifestId:
    """Ten million entries, all of one name."""
    return server.tree(server.repeated(encode_entry(File(b"name", META, None, EMPTY)), 10_000_000))


def _one_entry(server: Liar) -> ManifestId:
    """A folder of petabytes that never ends its first entry."""
    return server.tree(server.repeated(b"\xff\xff\x00\x00" + bytes(60_000), 1 << 34))


def _root(server: Liar) -> ManifestId:
    """A tree whose root is exabytes long."""
    return server.publish("tree", server.repeated(b"\x10\x00\x00\x00" + bytes(4092), 1 << 49))


def _sparse(server: Liar) -> ManifestId:
    """A file of exabytes of zeros."""
    return server.publish("file", server.repeated(bytes(16384), 1 << 47))


def _sparse_in_tree(server: Liar) -> ManifestId:
    content = server.repeated(bytes(16384), 1 << 47)
    return server.tree(server.chunk(encode_entry(File(b"name", META, None, content))))


def _deep(server: Liar) -> ManifestId:
    """Folders nested deeper than allowed."""
    content = EMPTY
    for _ in range(5000):
        content = server.chunk(encode_entry(Folder(b"x", META, content)))
    return server.tree(content)


def _paths(server: Liar) -> ManifestId:
    """Ten thousand files with paths of half a megabyte."""
    content = server.chunk(
        b"".join(
            encode_entry(File(b"%05d" % n, META, None, server.chunk(b"%d" % n)))
            for n in range(10_000)
        )
    )
    for _ in range(MAX_TREE_DEPTH - 8):
        content = server.chunk(encode_entry(Folder(b"d" * 255, META, content)))
    return server.tree(content)


def _exploding(server: Liar) -> ManifestId:
    """10^60 files, in thirty folders."""
    content = server.chunk(encode_entry(File(b"x", META, None, EMPTY)))
    for _ in range(30):
        entries = [encode_entry(Folder(b"%03d" % n, META, content)) for n in range(100)]
        content = server.chunk(b"".join(entries))
    return server.tree(content)


def _node_of_itself(server: Liar) -> ManifestId:
    """Content of the highest level whose node is missing."""
    return server.publish("file", Content(MAX_LEVEL, chunk_id(b"nothing"), 1 << 60))


CASES: dict[str, Callable[[Liar], ManifestId]] = {
    "entries": _entries,
    "one-entry": _one_entry,
    "root": _root,
    "sparse": _sparse,
    "sparse-in-tree": _sparse_in_tree,
    "deep": _deep,
    "paths": _paths,
    "exploding": _exploding,
    "no-node": _node_of_itself,
}
TREES = set(CASES) - {"sparse", "no-node"}


def main() -> None:
    """Pulls one case."""
    case, folder = sys.argv[1], Path(sys.argv[2])
    server = Liar()
    ident = CASES[case](server)
    try:
        if case in TREES:
            (folder / "tree").mkdir()
            pulled(ident, folder / "tree", server, MemoryStore())
        else:
            endpoints = Endpoints(MemoryStore(), False, [], [server])
            pull_file(Ref(manifest=ident), folder / "file", endpoints)
        ended = "done"
    except CasyncError as error:
        ended = error.code
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    print(ended, *left)


if __name__ == "__main__":
    main()
