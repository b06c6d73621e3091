"""Computes the size of a tree on disk, and refuses hostile trees before anything is written.

A tree of a few kilobytes may claim an astronomical number of files, by folders that contain the
same folder many times, so each distinct folder is counted once and multiplied. Trees that no file
system can represent, such as hard links to missing files, are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
    """The size of a tree.

    Attributes:
        entries: Entries below the root, at all levels.
        files: Files among them, without further hard links.
        length: Plain bytes of these files.
        depth: Levels of nested folders, including the root.
        path_bytes: Bytes of the longest path.
        has_links: Whether there are hard links.
    """

    entries: int
    files: int
    length: int
    depth: int
    path_bytes: int
    has_links: bool

    def including(self, name: bytes, below: Shape) -> Shape:
        """The shape with that of a folder directly in it, which was counted as empty."""
        return Shape(
            self.entries + below.entries,
            self.files + below.files,
            self.length + below.length,
            max(self.depth, below.depth + 1),
            max(self.path_bytes, len(name) + bool(below.path_bytes) + below.path_bytes),
            self.has_links or below.has_links,
        )


class _Count:
    """A folder that is being counted; the path `start` comes before the names in it."""

    def __init__(self, folder: Folder, inside: Iterator[Entry], start: bytes) -> None:
        self.folder = folder
        self.inside = inside
        self.start = start
        self.entries = self.files = self.length = self.path_bytes = 0
        self.depth = 1
        self.has_links = False

    def add(self, name: bytes, below: Shape) -> None:
        self.entries += below.entries
        self.path_bytes = max(self.path_bytes, len(name) + 1 + below.path_bytes)
        self.files += below.files
        self.length += below.length
        self.depth = max(self.depth, below.depth + 1)
        self.has_links |= below.has_links

    @property
    def shape(self) -> Shape:
        return Shape(
            self.entries, self.files, self.length, self.depth, self.path_bytes, self.has_links
        )


def shape_of(
    tree: Tree, known_shape: Callable[[bytes, Folder], Shape | None] | None = None
) -> Shape:
    """Counts a tree whose structure is loaded, each distinct folder once.

    Args:
        tree: The tree.
        known_shape: The shape of the folder at a path, if it is known without its entries.

    Raises:
        MalformedError: It is too deep, a path is too long, or its files exceed MAX_LENGTH.
        UnsupportedError: An entry at its root has the name of the staging folder.
    """
    known: dict[bytes, Shape] = {}
    todo = [_Count(tree.root, tree.entries(tree.root.content), b"")]
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
                "the tree has .casync-part at its root, the name of pull's staging folder",
                next_step="Prepare it again with --exclude /.casync-part.",
            )
        _count(here, entry)
        depth, path = len(todo), here.start + entry.name
        path_bytes = len(path)
        if isinstance(entry, Folder):
            shape = known.get(entry.content.id)
            if shape is None and known_shape is not None:
                shape = known_shape(path, entry)
            if shape is not None:
                here.add(entry.name, shape)
                depth += shape.depth
                path_bytes += bool(shape.path_bytes) + shape.path_bytes
            else:
                todo.append(_Count(entry, tree.entries(entry.content), path + b"/"))
                depth += 1
        if fault := place_fault(depth, path_bytes):
            raise fault
        if here.length > MAX_LENGTH:
            raise MalformedError(f"tree whose files have more than {MAX_LENGTH} bytes together")


def _count(here: _Count, entry: Entry) -> None:
    here.entries += 1
    here.path_bytes = max(here.path_bytes, len(entry.name))
    if not isinstance(entry, Folder):
        here.has_links |= entry.first is not None
        if isinstance(entry, File) and entry.first is None:
            here.files += 1
            here.length += entry.content.length


class HardLinks:
    """The files of a tree that have hard links.

    Args:
        steps: The tour of a tree whose shape is known, so that it ends.
        shape: The tree's shape.

    Raises:
        MalformedError: A hard link leads to nothing, to a later entry, or to an entry that
            differs from it.
    """

    def __init__(self, steps: Iterable[Step], shape: Shape) -> None:
        self._paths: set[bytes] = set()
        if shape.has_links:
            for _, entry, _ in steps:
                if entry is not None and not isinstance(entry, Folder) and entry.first is not None:
                    self._paths.add(_digest(entry.first))
            self._check(steps)

    def __contains__(self, path: bytes) -> bool:
        return bool(self._paths) and _digest(path) in self._paths

    def _check(self, steps: Iterable[Step]) -> None:
        found: dict[bytes, bytes] = {}
        for path, entry, _ in steps:
            if entry is None or isinstance(entry, Folder):
                continue
            if entry.first is None:
                if path in self:
                    found[_digest(path)] = _facts(entry)
            elif found.get(_digest(entry.first)) != _facts(entry):
                raise MalformedError(
                    f"{path.decode(errors='surrogateescape')} is a hard link to a missing file"
                )


def _digest(data: bytes) -> bytes:
    return blake3(data).digest(length=_DIGEST_BYTES)


def _facts(entry: Leaf) -> bytes:
    """A digest of everything that all hard links of one file have in common."""
    return _digest(encode_entry(replace(entry, name=b"-", first=None)))
