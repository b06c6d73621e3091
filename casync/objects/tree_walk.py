"""Reading trees: entries of folders, what lies at a path, every content below a manifest.

Must not know where objects are kept: the caller fetches and proves them. Folders are read one
chunk after the other, and each distinct one once where its place does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from casync.errors import MalformedError, NoObjectError, NotFoundError, UsageError
from casync.ids import ChunkId, Kind, NodeId, ObjectId
from casync.limits import MAX_ENTRY_BYTES, MAX_TREE_DEPTH, MIB
from casync.objects.manifest import Manifest
from casync.objects.node import Content, Node, decode_node, runs
from casync.objects.tree import Entry, EntryReader, File, Folder, decode_root

__all__ = ["FetchObjects", "Step", "contents", "entries", "find", "root_of", "tour", "walk_tree"]

FetchObjects: TypeAlias = Callable[[Kind, Sequence[ObjectId]], Iterable[bytes | None]]
"""Gives the plain, proved bytes of each object, in order; None for one that cannot be had."""

_AHEAD_BYTES: Final = 4 * MIB
_AHEAD_CHUNKS: Final = 256


def root_of(manifest: Manifest, fetch: FetchObjects) -> Folder:
    """The folder that a manifest of kind `tree` names.

    Raises:
        UsageError: The manifest names a file.
        NoObjectError: A chunk or node cannot be had.
        MalformedError: It is no folder.
    """
    if manifest.kind != "tree":
        raise UsageError("this is a file, not a folder")
    if manifest.length > MAX_ENTRY_BYTES + 4:
        raise MalformedError("tree that does not begin with one folder without a name")
    return decode_root(b"".join(_stream(manifest.content, fetch)))


def entries(folder: Content, fetch: FetchObjects) -> Iterator[Entry]:
    """The entries of a folder, in order.

    Raises:
        NoObjectError: A chunk or node cannot be had. All entries before are good.
        MalformedError: It is not the stream of a folder.
    """
    reader = EntryReader()
    for data in _stream(folder, fetch):
        yield from reader.feed(data)
    reader.finish()


def contents(
    manifest: Manifest, fetch: FetchObjects, seen: set[Content] | None = None
) -> Iterator[Content]:
    """All content below a manifest, its own first, and a folder's before the folder is read.

    Content of folders comes once, that of files as often as it is found.

    Args:
        manifest: A file's or a folder's.
        fetch: Gets objects.
        seen: Folders that need not be read, because they were; those that are read join them.

    Raises:
        NoObjectError, MalformedError: As `entries`.
    """
    yield manifest.content
    if manifest.kind == "file":
        return
    seen = set() if seen is None else seen
    todo = [root_of(manifest, fetch).content]
    while todo:
        folder = todo.pop()
        if folder in seen:
            continue
        seen.add(folder)
        yield folder
        for entry in entries(folder, fetch):
            if isinstance(entry, Folder):
                todo.append(entry.content)
            elif isinstance(entry, File):
                yield entry.content


class Step(NamedTuple):
    """A step of a tour.

    Attributes:
        path: Where, seen from the root: names joined by `/`; empty in the root.
        entry: What is there; of a folder what is in it follows. None: the folder ends.
    """

    path: bytes
    entry: Entry | None


def tour(root: Folder, fetch: FetchObjects) -> Iterator[Step]:
    """A folder and everything in it, each folder with its end.

    Raises:
        NoObjectError, MalformedError: As `entries`; more than `MAX_TREE_DEPTH` folders inside
            each other.
    """
    yield Step(b"", root)
    open_folders = [(b"", entries(root.content, fetch))]
    while open_folders:
        path, inside = open_folders[-1]
        entry = next(inside, None)
        if entry is None:
            open_folders.pop()
            yield Step(path, None)
            continue
        below = path + b"/" + entry.name if path else entry.name
        yield Step(below, entry)
        if isinstance(entry, Folder):
            if len(open_folders) == MAX_TREE_DEPTH:
                raise MalformedError(f"more than {MAX_TREE_DEPTH} folders inside each other")
            open_folders.append((below, entries(entry.content, fetch)))


def walk_tree(root: Folder, fetch: FetchObjects) -> Iterator[tuple[tuple[bytes, ...], Entry]]:
    """Everything below a folder with its path from there: a folder, then what is in it.

    Raises:
        NoObjectError, MalformedError: As `tour`.
    """
    for path, entry in tour(root, fetch):
        if path and entry is not None:
            yield tuple(path.split(b"/")), entry


def find(root: Folder, path: bytes, fetch: FetchObjects) -> Entry:
    """What lies at a path below a folder. Links are not followed.

    Args:
        root: The folder.
        path: Names joined by `/`; slashes too many are passed over, and no name is the folder.
        fetch: Gets objects.

    Raises:
        NotFoundError: Nothing is there.
        NoObjectError, MalformedError: As `entries`.
    """
    found: Entry = root
    for name in filter(None, path.split(b"/")):
        inside = entries(found.content, fetch) if isinstance(found, Folder) else iter(())
        for entry in inside:
            if entry.name >= name:
                break
        else:
            entry = None
        if entry is None or entry.name != name:
            raise NotFoundError(f"there is no {path.decode(errors='surrogateescape')} inside")
        found = entry
    return found


def _stream(content: Content, fetch: FetchObjects) -> Iterator[bytes]:
    """The bytes of a content, chunk by chunk."""

    def node(ident: NodeId, level: int, length: int) -> Node:
        for data in fetch(Kind.NODE, [ident]):
            if data is not None:
                return decode_node(data, level, length)
        raise NoObjectError(f"node {ident.hex()} cannot be had")

    wanted: list[tuple[ChunkId, int]] = []
    pending = 0
    for _, run in runs(content, node):
        for _ in range(run.times):
            wanted.append((ChunkId(run.id), run.length))
            pending += run.length
            if pending >= _AHEAD_BYTES or len(wanted) == _AHEAD_CHUNKS:
                yield from _chunks(wanted, fetch)
                wanted, pending = [], 0
    yield from _chunks(wanted, fetch)


def _chunks(wanted: list[tuple[ChunkId, int]], fetch: FetchObjects) -> Iterator[bytes]:
    ids = [ident for ident, _ in wanted]
    for (ident, length), data in zip(wanted, fetch(Kind.CHUNK, ids) if ids else (), strict=True):
        if data is None:
            raise NoObjectError(f"chunk {ident.hex()} cannot be had")
        if len(data) != length:
            raise MalformedError(f"chunk {ident.hex()} has {len(data)} bytes, not {length}")
        yield data
