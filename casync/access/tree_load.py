"""Loads trees: the streams of all folders and the nodes of all files, fetched in batches.

Objects that the store lacks come from servers, each distinct one once, hundreds of folders per
request, and are stored. Chunks of files are not loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from casync.access.outline import ObjectLoader, Outline
from casync.ids import ManifestId
from casync.limits import MIB
from casync.objects.below import Below
from casync.objects.chunker import ChunkerParams
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.objects.tree import Entry, File, Folder
from casync.objects.tree_walk import PassOver, Step, entries, tour
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["Tree", "load_tree"]

_BATCH_BYTES: Final = 16 * MIB
"""Plain bytes of folders that are fetched with one request, and held."""


class Tree:
    """A folder, and access to everything in it.

    Args:
        ident: The manifest's id.
        manifest: The manifest.
        root: The folder: that of the manifest, or one inside it.
        base: The path of `root` in the manifest's tree; empty for its root.
        store: A store or a server that has the objects.

    Attributes:
        id: The manifest's id.
        manifest: The manifest.
        root: The folder.
        is_whole: Whether `root` is the root of the manifest's tree.
        node: Reads nodes; used by one thread, as `nodes`.
        nodes: Reads many nodes of one level.
        encoded: Reads the encodings of many nodes.
    """

    def __init__(
        self,
        ident: ManifestId,
        manifest: Manifest,
        root: Folder,
        base: bytes,
        store: ObjectSource,
    ) -> None:
        self.id = ident
        self.manifest = manifest
        self.root = root
        self.is_whole = not base
        self._base = base + b"/" if base else b""
        self._fetch = ProvedReader(store).plain
        self._outline = Outline(ident, manifest, store)
        self.node = self._outline.node
        self.nodes = self._outline.nodes
        self.load = self._outline.load
        self.encoded = self._outline.encoded

    @property
    def params(self) -> ChunkerParams:
        """The chunk sizes that everything in it was cut with."""
        return self.manifest.params

    def entries(self, folder: Content) -> Iterator[Entry]:
        """The entries of one of its folders, in order. Hard links have paths in the whole tree.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged.
        """
        return entries(folder, self._fetch)

    def listing(self, *, recursive: bool) -> Iterator[tuple[bytes, Entry]]:
        """The entries of the folder, or of everything below it, with paths from the tree's root.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged. Earlier entries are
                good.
        """
        if recursive:
            for path, entry, _ in tour(self.root, self._fetch):
                if path and entry is not None:
                    yield self._base + path, entry
        else:
            for entry in self.entries(self.root.content):
                yield self._base + entry.name, entry

    def distinct_contents(self) -> Iterator[Content]:
        """The distinct contents of its files. Reads each distinct folder once.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged.
        """
        folders: set[bytes] = set()
        files: set[bytes] = set()
        todo = [self.root.content]
        while todo:
            for entry in self.entries(todo.pop()):
                if isinstance(entry, Folder) and entry.content.id not in folders:
                    folders.add(entry.content.id)
                    todo.append(entry.content)
                elif isinstance(entry, File) and entry.content.id not in files:
                    files.add(entry.content.id)
                    yield entry.content

    def solid_bytes(self, content: Content) -> int:
        """Bytes of a file that are not whole chunks of zeros."""
        return self._outline.solid_bytes(content)

    def tour(self, pass_over: PassOver | None = None) -> Iterator[Step]:
        """The folder and everything in it, with paths from the folder, also in hard links.

        If the first name of a hard-linked file lies outside the folder, its first name inside
        takes that role.

        Args:
            pass_over: Selects folders below the root whose entries are left out.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged.
        """
        steps = tour(self.root, self._fetch, pass_over)
        return self._rebased(steps) if self._base else steps

    def _rebased(self, steps: Iterator[Step]) -> Iterator[Step]:
        outside: dict[bytes, bytes] = {}
        for step in steps:
            path, entry, _ = step
            if entry is None or isinstance(entry, Folder) or entry.first is None:
                yield step
            elif entry.first.startswith(self._base):
                yield Step(path, replace(entry, first=entry.first[len(self._base) :]))
            else:
                first = outside.setdefault(entry.first, path)
                yield Step(path, replace(entry, first=None if first == path else first))


def load_tree(tree: Tree, loader: ObjectLoader, pass_over: PassOver | None = None) -> None:
    """Fetches the folders of a tree and the nodes of its files into the store of `loader`.

    Args:
        tree: The tree.
        loader: Fetches objects.
        pass_over: Selects folders below the root that are not needed.

    Raises:
        NoObjectError: No source has an object.
        IntegrityError: An object is malformed, the tree too deep or a path too long; or every
            source that has an object sends other bytes.
        RemoteError: Requests to servers failed.
    """
    try:
        below = Below(loader.plain, strict=True, pass_over=pass_over)
        for reached in below.walk_folder(tree.root.content):
            reached.check()
    finally:
        loader.flush()
