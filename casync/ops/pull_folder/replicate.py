"""Takes a manifest of another store into this one, as `prepare` takes a file."""

from __future__ import annotations

import time
from contextlib import suppress

from casync.access.locate import locate
from casync.access.metered_server import MeteredServer
from casync.access.naming import add_name
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.access.tree_load import Tree
from casync.errors import IncompleteError
from casync.ids import ManifestId
from casync.names.name import NameRecord, Ref
from casync.objects.tree import File, Folder
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.ops.pull.server_supply import ServerSupply
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull_folder.into_store import pull_into_store
from casync.store.base import Batch, ManifestState, ObjectStore
from casync.store.server import Server

__all__ = ["replicate"]


def replicate(
    manifest: ManifestId,
    store: ObjectStore,
    server: Server,
    options: PrepareOptions,
    progress: Progress = SILENT,
) -> Prepared | FolderPrepared:
    """Fetches what `store` lacks of a manifest, and names it.

    Args:
        manifest: The manifest, which keeps its id, and thus the chunk sizes of the other side.
        store: The store.
        server: Has the manifest.
        options: The name, and the expected digest of a file.
        progress: Receives phases and bytes.

    Raises:
        CasyncError: As `pull_into_store`, and as `ObjectStore.commit`.
    """
    started = time.monotonic()
    metered = MeteredServer(server)
    new_length = 0
    record: NameRecord | None = None
    is_here = False
    row = store.manifest(manifest)
    if row is not None and row.state is ManifestState.FULL and options.expect_sha256 is None:
        with suppress(IncompleteError):  # it was removed since
            record = _name(manifest, store, options)
            is_here = True
    if not is_here:
        how = PullOptions(expect_sha256=options.expect_sha256)
        pulled = pull_into_store(manifest, store, metered, how, progress)
        new_length = pulled.sources.get(ServerSupply.label, 0)
        record = _name(manifest, store, options)
    content = locate(Ref(manifest=manifest), store).content
    seconds = time.monotonic() - started
    if isinstance(content, Tree):
        return _folder(content, new_length, metered, record, seconds)
    assert isinstance(content, Outline)
    chunks = 0 if is_here else content.chunk_count()
    return Prepared(
        manifest=manifest,
        length=content.length,
        chunks=chunks,
        new=metered.chunks,
        reused=max(chunks - metered.chunks, 0),
        stored=metered.received,
        unchanged=is_here,
        name=record,
        seconds=seconds,
    )


def _name(manifest: ManifestId, store: ObjectStore, options: PrepareOptions) -> NameRecord | None:
    batch = Batch(relies=[manifest])
    add_name(batch, options.name, manifest, options.signer)
    names = store.commit(batch).names
    return names[0] if names else None


def _folder(
    tree: Tree,
    new_length: int,
    metered: MeteredServer,
    record: NameRecord | None,
    seconds: float,
) -> FolderPrepared:
    files = folders = others = length = 0
    for _, entry, _ in tree.tour():
        match entry:
            case None | Folder():
                folders += entry is not None
            case File():
                files += 1
                length += entry.content.length if entry.first is None else 0
            case _:
                others += 1
    return FolderPrepared(
        manifest=tree.id,
        files=files,
        folders=folders,
        others=others,
        length=length,
        added=0,
        changed=0,
        unchanged=0,
        chunks=metered.chunks,
        new=metered.chunks,
        new_length=new_length,
        stored=metered.received,
        left_out=[],
        sockets=0,
        leftovers=0,
        bounded_times=0,
        name=record,
        seconds=seconds,
    )
