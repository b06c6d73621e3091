"""Trees on their way in: the streams of all folders and the nodes of all files, fetched in batches.

What is not in the store comes from servers, hundreds of folders with one request, each distinct
object once, and is kept there. Chunks of files are not touched.
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
from casync.objects.tree_walk import Step, entries, tour
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["Tree", "load_tree"]

_BATCH_BYTES: Final = 16 * MIB
"""Plain bytes of folders that are fetched with one request, and held."""


class Tree:
    """A folder, and the way to what is in it. Loaded: all but the chunks of files is in a store.

    Args:
        ident: The id of the manifest of the whole.
        manifest: The same.
        root: The folder: the manifest's own, or one inside.
        base: The path of `root` in the whole; empty for the whole itself.
        store: Where its objects are.

    Attributes:
        id: The manifest's id.
        manifest: The manifest.
        root: The folder.
        is_whole: Whether that is all of what the manifest names.
        node: Finds nodes; used by one thread.
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

    @property
    def params(self) -> ChunkerParams:
        """How everything in it was cut."""
        return self.manifest.params

    def entries(self, folder: Content) -> Iterator[Entry]:
        """What is in one of its folders, in order; links as the whole tree has them.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged.
        """
        return entries(folder, self._fetch)

    def listing(self, *, recursive: bool) -> Iterator[tuple[bytes, Entry]]:
        """What is in the folder, or all below it, as the whole tree has it: paths from its root.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged. All before are good.
        """
        if recursive:
            for path, entry in tour(self.root, self._fetch):
                if path and entry is not None:
                    yield self._base + path, entry
        else:
            for entry in self.entries(self.root.content):
                yield self._base + entry.name, entry

    def distinct_contents(self) -> Iterator[Content]:
        """The contents of its files, each once, each distinct folder read once.

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

    def tour(self) -> Iterator[Step]:
        """The folder and everything in it, with paths from there, those of hard links as well.

        A file whose first name lies outside is a file of its own; its further names in here are
        links to that.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged.
        """
        steps = tour(self.root, self._fetch)
        return self._rebased(steps) if self._base else steps

    def _rebased(self, steps: Iterator[Step]) -> Iterator[Step]:
        outside: dict[bytes, bytes] = {}
        for step in steps:
            path, entry = step
            if entry is None or isinstance(entry, Folder) or entry.first is None:
                yield step
            elif entry.first.startswith(self._base):
                yield Step(path, replace(entry, first=entry.first[len(self._base) :]))
            else:
                first = outside.setdefault(entry.first, path)
                yield Step(path, replace(entry, first=None if first == path else first))


def load_tree(tree: Tree, loader: ObjectLoader) -> None:
    """Brings all of a tree's structure into the store.

    Raises:
        NoObjectError: No source has an object.
        IntegrityError: It is malformed, too deep or has too long a path; or every source that has
            an object sends something else.
        RemoteError: Servers could not be asked.
    """
    try:
        for reached in Below(loader.plain, strict=True).walk_folder(tree.root.content):
            reached.check()
    finally:
        loader.flush()
