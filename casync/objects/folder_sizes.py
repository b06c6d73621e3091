"""Bytes of all files below folders. Each distinct folder is read once.

The caller fetches and proves objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.objects.tree import Entry, File, Folder
from casync.objects.tree_walk import FetchObjects, entries, place_fault, root_of

__all__ = ["FolderSizes"]


@dataclass(slots=True)
class _Open:
    """A folder that is being read, and the bytes that were counted in it."""

    content: Content
    inside: Iterator[Entry]
    total: int = 0


class FolderSizes:
    """The sizes of folders. Hard links count once, where the first path of their file is.

    Args:
        fetch: Fetches objects.
    """

    def __init__(self, fetch: FetchObjects) -> None:
        self._fetch = fetch
        self._known: dict[Content, int] = {}

    def of_manifest(self, manifest: Manifest) -> int:
        """Bytes of the file, or of all files in the tree, that a manifest names.

        Raises:
            CasyncError: As `of`.
        """
        if manifest.kind == "file":
            return manifest.length
        return self.of(root_of(manifest, self._fetch).content)

    def of(self, folder: Content) -> int:
        """Bytes of all files in a folder and in those below it.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged, or the tree too deep.
        """
        path: list[_Open] = []
        if folder not in self._known:
            self._enter(folder, path)
        while path:
            self._read_on(path)
        return self._known[folder]

    def _enter(self, folder: Content, path: list[_Open]) -> None:
        if fault := place_fault(len(path) + 1, 0):
            raise fault
        path.append(_Open(folder, entries(folder, self._fetch)))

    def _read_on(self, path: list[_Open]) -> None:
        """Reads the last folder of `path` to its end, or to a folder that is not known."""
        here = path[-1]
        for entry in here.inside:
            if isinstance(entry, Folder):
                if entry.content not in self._known:
                    self._enter(entry.content, path)
                    return
                here.total += self._known[entry.content]
            elif isinstance(entry, File) and entry.first is None:
                here.total += entry.content.length
        path.pop()
        self._known[here.content] = here.total
        if path:
            path[-1].total += here.total
