"""Folders on the disk, and their trees in a store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from casync.access.content_file import read_range
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.fs.exclude import Exclusion
from casync.fs.scan import Scan
from casync.fs.scan_cache import ScanCache
from casync.ids import Kind, ManifestId
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packed, Unpacker
from casync.objects.manifest import Manifest, decode_manifest
from casync.objects.tree import Entry, File
from casync.objects.tree_walk import root_of, walk_tree
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.folder import prepare_tree
from casync.ops.prepare.prepared import FolderPrepared
from casync.store.base import ObjectStore
from casync.store.proved import ProvedReader

PARAMS = ChunkerParams(256, 1024, 4096)
LONG_AGO = 1_600_000_000_123_456_789


def prepared(
    root: Path,
    store: ObjectStore,
    *,
    globs: Sequence[str] = (),
    regexes: Sequence[str] = (),
    one_file_system: bool = False,
    scan_cache: ScanCache | None = None,
    progress: Progress = SILENT,
    reread: bool = False,
    clock: Callable[[], int] | None = None,
) -> FolderPrepared:
    """Prepares a folder."""
    options = PrepareOptions(params=PARAMS, reread=reread)
    scan = Scan(root, excluded=Exclusion(globs, regexes), one_file_system=one_file_system)
    return prepare_tree(
        root, scan, store, options, scan_cache=scan_cache, progress=progress, clock=clock or later
    )


def later() -> int:
    """A time ten seconds from now, when everything that is there is old enough to be remembered."""
    return time.time_ns() + 10**10


def manifest_of(store: ObjectStore, ident: ManifestId) -> Manifest:
    (answer,) = store.get(Kind.MANIFEST, [ident])
    assert isinstance(answer, Packed)
    return decode_manifest(Unpacker().unpack(answer))


def tree(store: ObjectStore, ident: ManifestId) -> dict[bytes, Entry]:
    """All entries by path; the root has an empty one."""
    fetch = ProvedReader(store).plain
    root = root_of(manifest_of(store, ident), fetch)
    found: dict[bytes, Entry] = {b"": root}
    for path, entry in walk_tree(root, fetch):
        found[b"/".join(path)] = entry
    return found


def bytes_of(store: ObjectStore, ident: ManifestId, path: str) -> bytes:
    """The bytes of one file of a tree."""
    entry = tree(store, ident)[os.fsencode(path)]
    assert isinstance(entry, File)
    manifest = Manifest("file", manifest_of(store, ident).params, entry.content)
    return b"".join(
        map(bytes, read_range(Outline(ident, manifest, store), store, 0, entry.content.length))
    )


def age(root: Path) -> None:
    """Gives everything in a folder an old mtime; the ctime becomes the present."""
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            os.utime(os.path.join(folder, name), ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
        os.utime(folder, ns=(LONG_AGO, LONG_AGO))
