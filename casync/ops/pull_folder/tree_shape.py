"""What a tree would become on disk, worked out before anything is written; hostile ones end here.

A tree of a few kilobytes may claim more files than there are atoms, by folders that hold the same
folder many times: each distinct one is counted once and multiplied. What a file system cannot say,
links to names that are not there for instance, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from blake3 import blake3
from msgspec.structs import replace

from casync.access.tree_load import Tree
from casync.errors import MalformedError, UnsupportedError
from casync.fs.target.staging import STAGING
from casync.limits import MAX_LENGTH
from casync.objects.tree import Entry, File, Folder, Leaf, encode_entry
from casync.objects.tree_walk import Step, place_fault

__all__ = ["HardLinks", "Shape", "shape_of"]

_DIGEST_BYTES: Final = 16


class Shape(NamedTuple):
    """How large a tree is.

    Attributes:
        entries: Everything below the root, each folder with what is in it.
        length: Plain bytes of files, hard links counted once.
        depth: Folders inside each other, the root included.
        path_bytes: Bytes of the longest path.
        has_links: Whether files have further names.
    """

    entries: int
    length: int
    depth: int
    path_bytes: int
    has_links: bool


class _Count:
    """A folder that is being counted; `start` bytes of path come before the names in it."""

    def __init__(self, folder: Folder, inside: Iterator[Entry], start: int) -> None:
        self.folder = folder
        self.inside = inside
        self.start = start
        self.entries = self.length = self.path_bytes = 0
        self.depth = 1
        self.has_links = False

    def add(self, name: bytes, below: Shape) -> None:
        self.entries += below.entries
        self.path_bytes = max(self.path_bytes, len(name) + 1 + below.path_bytes)
        self.length += below.length
        self.depth = max(self.depth, below.depth + 1)
        self.has_links |= below.has_links

    @property
    def shape(self) -> Shape:
        return Shape(self.entries, self.length, self.depth, self.path_bytes, self.has_links)


def shape_of(tree: Tree) -> Shape:
    """Counts a tree whose structure is loaded, each distinct folder once.

    Raises:
        MalformedError: It is too deep, a path too long, or its files are longer than numbers are.
        UnsupportedError: Something at its root has the name of the staging folder.
    """
    known: dict[bytes, Shape] = {}
    todo = [_Count(tree.root, tree.entries(tree.root.content), 0)]
    while True:
        here = todo[-1]
        entry = next(here.inside, None)
        if entry is None:
            todo.pop()
            known[here.folder.content.id] = here.shape
            if not todo:
                return here.shape
            todo[-1].add(here.folder.name, here.shape)
            continue
        if len(todo) == 1 and entry.name == STAGING:
            raise UnsupportedError(
                "the tree holds .casync-part, which pull needs for itself",
                next_step="Prepare it again without: --exclude /.casync-part",
            )
        _count(here, entry)
        depth, path_bytes = len(todo), here.start + len(entry.name)
        if isinstance(entry, Folder):
            shape = known.get(entry.content.id)
            if shape is not None:
                here.add(entry.name, shape)
                depth += shape.depth
                path_bytes += bool(shape.path_bytes) + shape.path_bytes
            else:
                todo.append(_Count(entry, tree.entries(entry.content), path_bytes + 1))
                depth += 1
        if fault := place_fault(depth, path_bytes):
            raise fault
        if here.length > MAX_LENGTH:
            raise MalformedError("tree whose files are longer than any disk")


def _count(here: _Count, entry: Entry) -> None:
    here.entries += 1
    here.path_bytes = max(here.path_bytes, len(entry.name))
    if not isinstance(entry, Folder):
        here.has_links |= entry.first is not None
        if isinstance(entry, File) and entry.first is None:
            here.length += entry.content.length


class HardLinks:
    """The files of a tree that have further names.

    Args:
        tree: A tree whose shape is known, so that walking it ends.
        shape: Its shape.

    Raises:
        MalformedError: A further name leads to nothing, to something that comes later, or to
            something else than it says itself.
    """

    def __init__(self, tree: Tree, shape: Shape) -> None:
        self._paths: set[bytes] = set()
        if shape.has_links:
            for _, entry in tree.tour():
                if entry is not None and not isinstance(entry, Folder) and entry.first is not None:
                    self._paths.add(_digest(entry.first))
            self._check(tree.tour())

    def __contains__(self, path: bytes) -> bool:
        return bool(self._paths) and _digest(path) in self._paths

    def _check(self, steps: Iterator[Step]) -> None:
        found: dict[bytes, bytes] = {}
        for path, entry in steps:
            if entry is None or isinstance(entry, Folder):
                continue
            if entry.first is None:
                if path in self:
                    found[_digest(path)] = _facts(entry)
            elif found.get(_digest(entry.first)) != _facts(entry):
                raise MalformedError(
                    f"{path.decode(errors='surrogateescape')} is a name of a file that is not there"
                )


def _digest(data: bytes) -> bytes:
    return blake3(data).digest(length=_DIGEST_BYTES)


def _facts(entry: Leaf) -> bytes:
    """What all names of one file have in common."""
    return _digest(encode_entry(replace(entry, name=b"-", first=None)))
