"""Trees of a source, every object proved before it is used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from casync.access.outline import Outline, open_outline
from casync.errors import DamagedObjectError, IntegrityError, UsageError
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.codec import Packed, Unpacker
from casync.objects.tree import Entry, File, Folder
from casync.objects.tree_walk import FetchObjects, entries, find, root_of, walk_tree
from casync.store.base import Absence, ObjectSource

__all__ = ["fetch_from", "list_tree", "open_file"]


def fetch_from(source: ObjectSource) -> FetchObjects:
    """Fetches from `source`. Used by one thread.

    Raises:
        DamagedObjectError: When called, for an object whose bytes are not those of its id.
    """
    unpacker = Unpacker()

    def fetch(kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        for ident, answer in zip(ids, source.get(kind, ids), strict=True):
            label = f"{kind.name.lower()} {ident.hex()}"
            if answer is Absence.DAMAGED:
                raise DamagedObjectError(f"{label} is damaged")
            if not isinstance(answer, Packed):
                yield None
                continue
            try:
                yield unpacker.unpack(answer)
            except IntegrityError as error:
                raise DamagedObjectError(f"{label}: {error.message}") from error

    return fetch


def list_tree(
    ident: ManifestId, path: bytes, source: ObjectSource, *, recursive: bool
) -> Iterator[tuple[bytes, Entry]]:
    """What is in a folder of a tree, or the one thing at a path, with paths from the root.

    Args:
        ident: The manifest of the tree.
        path: Names joined by `/`; none is the root.
        source: Who has it.
        recursive: With everything below.

    Raises:
        UsageError: The manifest names a file.
        NotFoundError: Nothing lies there.
        NoObjectError, IntegrityError: An object is missing or damaged. All before are good.
    """
    fetch = fetch_from(source)
    names = tuple(filter(None, path.split(b"/")))
    entry = find(root_of(open_outline(ident, source).manifest, fetch), path, fetch)
    if not isinstance(entry, Folder):
        yield b"/".join(names), entry
    elif recursive:
        for below, inner in walk_tree(entry, fetch):
            yield b"/".join((*names, *below)), inner
    else:
        for inner in entries(entry.content, fetch):
            yield b"/".join((*names, inner.name)), inner


def open_file(ident: ManifestId, path: bytes | None, source: ObjectSource) -> Outline:
    """The outline of a file: of what a manifest names, or of a file in the folder that it names.

    Args:
        ident: The manifest.
        path: Where in the folder, names joined by `/`; None is the whole. Links are not followed.
        source: Who has it.

    Raises:
        UsageError: It is a folder or a link, or there is nothing inside of a file.
        NotFoundError: Nothing lies there.
        NoObjectError, IntegrityError: An object is missing or damaged.
    """
    outline = open_outline(ident, source)
    manifest = outline.manifest
    if manifest.kind == "file":
        if path is not None:
            raise UsageError(f"{ident.hex()} is a file; there is nothing inside")
        return outline
    fetch = fetch_from(source)
    entry = find(root_of(manifest, fetch), path or b"", fetch)
    if not isinstance(entry, File):
        where = os.fsdecode(path or b"") or ident.hex()
        what = "folder" if isinstance(entry, Folder) else "link, device or pipe"
        raise UsageError(
            f"{where} is a {what}, not a file", next_step="Name a file in it, as REF:PATH."
        )
    return Outline(ident, replace(manifest, content=entry.content), source)
