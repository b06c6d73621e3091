"""Recovers every undamaged object from a data file that LMDB cannot open.

The file is read as untrusted bytes: records are found by their mark and proved by their id, and go
into another store. Pages that LMDB has freed may still hold records; these count as well.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from casync.errors import DamagedStoreError, IntegrityError, NoStoreError, UnsupportedError
from casync.ids import Kind, ManifestId
from casync.limits import COMMIT_BYTES, MAX_CHUNK_SIZE, MIB, OBJECT_BYTES
from casync.names.name import NameRecord
from casync.objects.codec import Unpacker
from casync.objects.record import (
    NAME_RECORD,
    RECORD_BYTES,
    RECORD_MARK,
    SegmentRecord,
    decode_record,
    sound_record,
)
from casync.store.base import Batch, ManifestState
from casync.store.lmdb.completeness import Completeness
from casync.store.lmdb.reindex import latest, prove, prove_name
from casync.store.lmdb.rows import NamePayload
from casync.store.lmdb.segment import HEADER_BYTES, SEGMENT_MAGIC, decode_header
from casync.store.lmdb.store import LmdbStore

__all__ = ["Salvaged", "salvage"]

_WINDOW: Final = 32 * MIB
_OVERLAP: Final = MAX_CHUNK_SIZE + RECORD_BYTES  # a record that begins in a window is whole
_PAGE: Final = 4096


class Salvaged(NamedTuple):
    """What was recovered into the new store.

    Attributes:
        objects: Number of objects.
        manifests: Manifests with everything below them.
        outlines: Manifests of which only the nodes were recovered.
        names: Number of names.
        segments: Segment headers found, older copies included.
        damaged: Objects of which only damaged copies were found.
    """

    objects: int
    manifests: int
    outlines: int
    names: int
    segments: int
    damaged: int


def salvage(
    file: Path, into: LmdbStore, *, advance: Callable[[int], None] = lambda _: None
) -> Salvaged:
    """Recovers every undamaged object of the data file `file` into the store `into`.

    Names that `into` already has are left as they are.

    Args:
        file: A `data.mdb`, or a store's folder.
        into: Another store.
        advance: Is called with the number of bytes of each read.

    Raises:
        NoStoreError: There is no such file.
        DamagedStoreError: It cannot be read at all.
        NoSpaceError, WriteError: `into` cannot be written.
    """
    return _Salvage(into).run(file, advance)


class _Salvage:
    def __init__(self, into: LmdbStore) -> None:
        self._into = into
        self._unpacker = Unpacker()
        self._batch = Batch()
        self._size = 0
        self._objects = 0
        self._manifests: dict[ManifestId, None] = {}
        self._names: list[NamePayload] = []
        self._stores: Counter[bytes] = Counter()
        self._broken: set[tuple[int, bytes]] = set()

    def run(self, file: Path, advance: Callable[[int], None]) -> Salvaged:
        for found in _findings(file, advance):
            self._take(found)
        self._flush()
        rows = self._rows()
        full = {ident for ident, state, _ in rows if state is ManifestState.FULL}
        names = [record for record in self._name_records() if record.manifest in full]
        names = self._into.contents.adopt(rows, names)
        return Salvaged(
            objects=self._objects,
            manifests=len(full),
            outlines=len(rows) - len(full),
            names=len({record.name for record in names}),
            segments=self._stores.total(),
            damaged=self._still_broken(),
        )

    def _take(self, found: _Finding) -> None:
        if found.store_id is not None:
            self._stores[found.store_id] += 1
            return
        record, payload = found.record, found.payload
        if record is None:
            return
        if payload is None:
            self._broken.add((record.kind, record.id))
        elif record.kind == NAME_RECORD:
            said = prove_name(record, payload)
            if said is not None:
                self._names.append(said)
        else:
            proved = prove(record, payload, self._unpacker)
            if proved is None:
                self._broken.add((record.kind, record.id))
                return
            if proved.kind is Kind.MANIFEST:
                self._manifests[ManifestId(proved.id)] = None
            self._batch.objects.append(proved)
            self._size += len(payload) + OBJECT_BYTES
            if self._size >= COMMIT_BYTES:
                self._flush()

    def _flush(self) -> None:
        self._objects += self._into.commit(self._batch).objects
        self._batch = Batch()
        self._size = 0

    def _rows(self) -> list[tuple[ManifestId, ManifestState, int]]:
        walk = Completeness(self._into)
        rows = []
        for ident in self._manifests:
            manifest = walk.manifest(ident)
            state = walk.state(manifest) if manifest is not None else None
            if manifest is not None and state is not None:
                rows.append((ident, state, manifest.length))
        return rows

    def _name_records(self) -> list[NameRecord]:
        """The store's own name records. A stored disk image may hold another store's records."""
        if not self._stores:
            self._stores.update(said.store for said in self._names)
        if not self._stores:
            return []
        ((own, _),) = self._stores.most_common(1)
        return latest(said.record for said in self._names if said.store == own)

    def _still_broken(self) -> int:
        broken = [key for key in self._broken if key[0] != NAME_RECORD]
        count = 0
        for kind in Kind:
            idents = [ManifestId(ident) for its_kind, ident in broken if its_kind == kind]
            count += self._into.known(kind, idents).count(False)
        return count


class _Finding(NamedTuple):
    """A segment's header, or a record. The payload is None if it fails its check."""

    store_id: bytes | None = None
    record: SegmentRecord | None = None
    payload: bytes | None = None


def _findings(file: Path, advance: Callable[[int], None]) -> Iterator[_Finding]:
    path = file / "data.mdb" if file.is_dir() else file
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NoStoreError(f"no file {path} to salvage") from error
    except OSError as error:
        raise DamagedStoreError(f"{path} cannot be read: {error.strerror}") from error
    try:
        size = os.fstat(fd).st_size
        base = start = 0
        while base < size:
            data = _read(fd, base, min(_WINDOW + _OVERLAP, size - base))
            last = base + len(data) >= size
            end = yield from _search(data, start, len(data) if last else _WINDOW)
            advance(min(_WINDOW, size - base))
            base, start = base + _WINDOW, max(end - _WINDOW, 0)
    finally:
        os.close(fd)


def _search(data: bytes, start: int, end: int) -> Generator[_Finding, None, int]:
    """All findings that begin in data[start:end]; returns where the last one ends."""
    position = start
    while True:
        at = data.find(RECORD_MARK, position, end + len(RECORD_MARK) - 1)
        stop = at if at >= 0 else end + len(SEGMENT_MAGIC) - 1
        yield from _headers(data, position, stop)
        if at < 0:
            return max(position, end)
        record = sound_record(data, at)
        if record is not None:
            yield _Finding(record=record, payload=record.payload(data))
            position = record.end
            continue
        with suppress(IntegrityError):  # bytes that merely look like a mark
            yield _Finding(record=decode_record(data, at))
        position = at + 1


def _headers(data: bytes, start: int, end: int) -> Iterator[_Finding]:
    at = data.find(SEGMENT_MAGIC, start, end)
    while at >= 0:
        with suppress(IntegrityError, UnsupportedError):  # bytes that merely look like a magic
            yield _Finding(store_id=decode_header(data[at : at + HEADER_BYTES]).store_id)
        at = data.find(SEGMENT_MAGIC, at + 1, end)


def _read(fd: int, offset: int, length: int) -> bytes:
    """Reads a range, with zeros in place of what the disk cannot read."""
    try:
        data = os.pread(fd, length, offset)
        if len(data) == length:
            return data
    except OSError:
        data = b""
    parts = [data]
    for position in range(offset + len(data), offset + length, _PAGE):
        wanted = min(_PAGE, offset + length - position)
        try:
            page = os.pread(fd, wanted, position)
        except OSError:
            page = b""
        parts.append(page.ljust(wanted, b"\0"))
    return b"".join(parts)
