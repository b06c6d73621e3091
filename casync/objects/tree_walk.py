"""Reads trees: entries of folders, the entry at a path, and everything below a folder in order.

The caller fetches and proves objects. For walks in which paths do not matter, use `below`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, repeat
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from casync.errors import (
    CasyncError,
    MalformedError,
    NoObjectError,
    UnsupportedError,
    UsageError,
)
from casync.ids import ChunkId, Kind, NodeId, ObjectId
from casync.limits import MAX_BATCH_IDS, MAX_ENTRY_BYTES, MAX_TREE_DEPTH, MAX_TREE_PATH, MIB
from casync.objects.chunk_runs import runs
from casync.objects.manifest import Manifest
from casync.objects.node import Content, Node, Record, decode_node
from casync.objects.tree import Entry, EntryReader, Folder, decode_root
from casync.sizes import format_count

__all__ = [
    "FetchObjects",
    "PassOver",
    "Step",
    "entries",
    "find",
    "place_fault",
    "read_folders",
    "root_of",
    "tour",
    "walk_tree",
]

FetchObjects: TypeAlias = Callable[[Kind, Sequence[ObjectId]], Iterable[bytes | None]]
"""Gives the plain, proved bytes of each object, in order; None for a missing one."""

_AHEAD_BYTES: Final = 4 * MIB
"""Plain bytes that a reader of one folder fetches with one call."""

_BATCH_RECORDS: Final = 16 * MAX_BATCH_IDS
"""Chunks joined at a time. Content may consist of chunks of a byte, which repeat."""


def root_of(manifest: Manifest, fetch: FetchObjects) -> Folder:
    """The folder that a manifest of kind `tree` names.

    Raises:
        UsageError: The manifest names a file.
        NoObjectError: A chunk or node is missing.
        MalformedError: The content is not a folder.
    """
    if manifest.kind != "tree":
        raise UsageError("this is a file, not a folder")
    if manifest.length > MAX_ENTRY_BYTES + 4:
        raise MalformedError("tree that does not begin with one folder without a name")
    parts: list[bytes] = []
    for _, part in _Streams([manifest.content], fetch, _AHEAD_BYTES).read():
        if isinstance(part, CasyncError):
            raise part
        parts.append(part)
    return decode_root(b"".join(parts))


def entries(folder: Content, fetch: FetchObjects) -> Iterator[Entry]:
    """The entries of a folder, in order.

    Raises:
        NoObjectError: A chunk or node is missing. All entries before it are valid.
        MalformedError: It is not the stream of a folder.
    """
    for _, entry in read_folders([folder], fetch, _AHEAD_BYTES):
        if isinstance(entry, CasyncError):
            raise entry
        if entry is not None:
            yield entry


def read_folders(
    folders: Sequence[Content], fetch: FetchObjects, ahead: int
) -> Iterator[tuple[int, Entry | CasyncError | None]]:
    """The entries of several folders, each with the number of its folder.

    Args:
        folders: The folders.
        fetch: Fetches objects.
        ahead: Plain bytes that are fetched with one call, and held.

    Yields:
        All entries of the first folder, then those of the next one. If a folder cannot be read
        further, an error takes the place of its remaining entries. None after each piece of a
        folder, however few entries end in it: the work between two yields is bounded.

    Raises:
        CasyncError: What `fetch` raises.
    """
    streams = _Streams(folders, fetch, ahead)
    current, reader = 0, EntryReader()
    for number, data in streams.read():
        if number != current:
            yield from _end(current, reader)
            current, reader = number, EntryReader()
        try:
            if isinstance(data, CasyncError):
                reader = EntryReader()
                yield number, data
            else:
                for entry in reader.feed(data):
                    yield number, entry
                yield number, None
        except MalformedError as error:
            streams.end(number)
            reader = EntryReader()
            yield number, error
    yield from _end(current, reader)


def _end(number: int, reader: EntryReader) -> Iterator[tuple[int, CasyncError]]:
    try:
        reader.finish()
    except MalformedError as error:
        yield number, error


_A_PART: Final = "A folder inside of it may fit: pull REF:FOLDER."


def place_fault(depth: int, path_bytes: int) -> MalformedError | None:
    """Why readers refuse an entry at this depth or with a path this long; None if they accept it.

    Args:
        depth: Nested folders up to here, the root and a folder itself included.
        path_bytes: Bytes of the path from the root.
    """
    if depth > MAX_TREE_DEPTH:
        return MalformedError(f"more than {MAX_TREE_DEPTH} nested folders", next_step=_A_PART)
    if path_bytes > MAX_TREE_PATH:
        return MalformedError(f"path of more than {MAX_TREE_PATH} bytes", next_step=_A_PART)
    return None


class Step(NamedTuple):
    """A step of a tour.

    Attributes:
        path: Path from the root: names joined by `/`; empty for the root.
        entry: The entry there; a folder's entries follow it. None at the end of a folder.
        is_settled: The tour passes over this folder: neither its entries nor its end follow.
    """

    path: bytes
    entry: Entry | None
    is_settled: bool = False


PassOver: TypeAlias = Callable[[bytes, Folder], bool]
"""Whether a walk passes over the folder at a path."""


def tour(root: Folder, fetch: FetchObjects, pass_over: PassOver | None = None) -> Iterator[Step]:
    """A folder and everything in it, with a step at the end of each folder.

    Args:
        root: The folder.
        fetch: Fetches objects.
        pass_over: Selects folders below the root whose entries are left out.

    Raises:
        NoObjectError, MalformedError: As `entries`; and for the faults of `place_fault`.
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
        is_folder = isinstance(entry, Folder)
        if fault := place_fault(len(open_folders) + is_folder, len(below)):
            raise fault
        if not isinstance(entry, Folder):
            yield Step(below, entry)
        elif pass_over is not None and pass_over(below, entry):
            yield Step(below, entry, is_settled=True)
        else:
            yield Step(below, entry)
            open_folders.append((below, entries(entry.content, fetch)))


def walk_tree(root: Folder, fetch: FetchObjects) -> Iterator[tuple[tuple[bytes, ...], Entry]]:
    """Everything below a folder, with paths from there: a folder comes before its entries.

    Raises:
        NoObjectError, MalformedError: As `tour`.
    """
    for path, entry, _ in tour(root, fetch):
        if path and entry is not None:
            yield tuple(path.split(b"/")), entry


def find(root: Folder, path: bytes, fetch: FetchObjects) -> Entry | None:
    """The entry at a path below a folder; None if there is none. Links are not followed.

    Args:
        root: The folder.
        path: Names joined by `/`; extra slashes are ignored, and empty is the folder itself.
        fetch: Fetches objects.

    Raises:
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
            return None
        found = entry
    return found


class _Streams:
    """The bytes of several contents, one after the other; their chunks are fetched together.

    Args:
        contents: The contents.
        fetch: Fetches objects.
        ahead: Plain bytes that are fetched with one call, and held.
    """

    def __init__(self, contents: Sequence[Content], fetch: FetchObjects, ahead: int) -> None:
        self._contents = contents
        self._fetch = fetch
        self._ahead = ahead
        self._ended: set[int] = set()

    def end(self, number: int) -> None:
        """Skips the rest of a content."""
        self._ended.add(number)

    def read(self) -> Iterator[tuple[int, bytes | CasyncError]]:
        """Chunks, joined to pieces, with the numbers of their contents.

        A fault ends only its own content.
        """
        wanted: list[tuple[int, Record]] = []
        ids: dict[ChunkId, None] = {}
        pending = 0
        for number, content in enumerate(self._contents):
            try:
                for chunk in self._chunks_of(content):
                    if number in self._ended:
                        break
                    wanted.append((number, chunk))
                    ids[ChunkId(chunk.id)] = None
                    pending += chunk.length
                    if (
                        pending >= self._ahead
                        or len(ids) == MAX_BATCH_IDS
                        or len(wanted) == _BATCH_RECORDS
                    ):
                        yield from self._fetched(wanted, ids)
                        wanted, ids, pending = [], {}, 0
            except _UnreadableError as unreadable:
                yield from self._fetched(wanted, ids)
                wanted, ids, pending = [], {}, 0
                yield number, unreadable.fault
        yield from self._fetched(wanted, ids)

    def _chunks_of(self, content: Content) -> Iterator[Record]:
        try:
            for _, run in runs(content, self._node):
                yield from repeat(Record(run.id, run.length), run.times)
        except (NoObjectError, MalformedError, UnsupportedError) as error:
            raise _UnreadableError(error) from error

    def _node(self, ident: NodeId, level: int, length: int) -> Node:
        (data,) = self._fetch(Kind.NODE, [ident])
        if data is None:
            raise NoObjectError(f"node {ident.hex()} is not available")
        return decode_node(data, level, length)

    def _fetched(
        self, wanted: list[tuple[int, Record]], ids: dict[ChunkId, None]
    ) -> Iterator[tuple[int, bytes | CasyncError]]:
        found = dict(zip(ids, self._fetch(Kind.CHUNK, list(ids)), strict=True)) if ids else {}
        for number, chunks in groupby(wanted, key=itemgetter(0)):
            parts: list[bytes] = []
            fault: CasyncError | None = None
            for _, chunk in chunks:
                data = found[ChunkId(chunk.id)]
                if data is None or len(data) != chunk.length:
                    fault = _chunk_fault(chunk, data)
                    break
                parts.append(data)
            if parts and number not in self._ended:
                yield number, b"".join(parts)
            if fault is not None and number not in self._ended:
                self.end(number)
                yield number, fault


def _chunk_fault(chunk: Record, data: bytes | None) -> CasyncError:
    label = f"chunk {chunk.id.hex()}"
    if data is None:
        return NoObjectError(f"{label} is not available")
    return MalformedError(f"{label} has {format_count(len(data), 'byte')}, not {chunk.length}")


class _UnreadableError(Exception):
    """A node of a content cannot be read; the error says why."""

    def __init__(self, fault: CasyncError) -> None:
        super().__init__(fault)
        self.fault = fault
