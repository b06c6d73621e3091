"""Bytes of all files below folders. Each distinct folder is read once.

The caller fetches and proves objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from casync.limits import KIB
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.objects.tree import Entry, File, Folder
from casync.objects.tree_walk import FetchObjects, entries, place_fault, root_of

__all__ = ["FolderSizes"]

_READ_BYTES: Final = 64 * KIB


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
        most: Reads that are worth it: one for each folder, and one for each 64 KiB of it. A folder
            that takes more has no known size. None for no limit.
    """

    def __init__(self, fetch: FetchObjects, most: int | None = None) -> None:
        self._fetch = fetch
        self._left = most
        self._known: dict[Content, int] = {}

    def of_manifest(self, manifest: Manifest) -> int | None:
        """Bytes of the file, or of all files in the tree, that a manifest names.

        Returns:
            None if it takes too many reads.

        Raises:
            CasyncError: As `of`.
        """
        if manifest.kind == "file":
            return manifest.length
        return self.of(root_of(manifest, self._fetch).content)

    def of(self, folder: Content) -> int | None:
        """Bytes of all files in a folder and in those below it.

        Returns:
            None if it takes too many reads.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged, or the tree too deep.
        """
        path: list[_Open] = []
        if folder not in self._known and not self._enter(folder, path):
            return None
        while path:
            if not self._read_on(path):
                return None
        return self._known[folder]

    def _enter(self, folder: Content, path: list[_Open]) -> bool:
        """Begins to read a folder; false if that takes too many reads."""
        if fault := place_fault(len(path) + 1, 0):
            raise fault
        if self._left is not None:
            reads = 1 + folder.length // _READ_BYTES
            if reads > self._left:
                return False
            self._left -= reads
        path.append(_Open(folder, entries(folder, self._fetch)))
        return True

    def _read_on(self, path: list[_Open]) -> bool:
        """Reads the last folder of `path` to its end, or to a folder that is not known.

        Returns:
            False if it takes too many reads.
        """
        here = path[-1]
        for entry in here.inside:
            if isinstance(entry, Folder):
                if entry.content not in self._known:
                    return self._enter(entry.content, path)
                here.total += self._known[entry.content]
            elif isinstance(entry, File) and entry.first is None:
                here.total += entry.content.length
        path.pop()
        self._known[here.content] = here.total
        if path:
            path[-1].total += here.total
        return True
