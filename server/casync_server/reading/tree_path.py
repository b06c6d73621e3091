"""What lies inside of a tree, by the path that a URL spells out after `/-/`.

File names are bytes, and a URL can say any of them, but a decoded path cannot: the raw one is read
here. Each component is decoded by itself, so `%2F` is no separator, and no name either.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from fastapi import Request

from casync.access.outline import Outline
from casync.errors import NotFoundError, UsageError
from casync.objects.tree import Entry, File
from casync.objects.tree_walk import FetchObjects, find, root_of
from casync.store.base import ManifestSource
from casync_server.deps import resolve
from casync_server.reading.content import load_outline, open_content, tell_damage

__all__ = ["PARAMETERS", "Inside", "TreePath", "find_inside", "open_inside", "place_of"]

_SEPARATOR: Final = b"/-/"

PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": "ref",
        "in": "path",
        "required": True,
        "description": "A full hash, NAME or NAME@N.",
        "schema": {"type": "string"},
    },
    {
        "name": "path",
        "in": "path",
        "required": True,
        "description": "Names joined by slashes, each of them percent-encoded bytes.",
        "schema": {"type": "string"},
    },
]
"""What the routes below `/-/` read from the raw path, for the description of the API."""


class TreePath(NamedTuple):
    """What a URL leads to.

    Attributes:
        ref: A ref, not parsed yet.
        names: Names in the tree that it stands for.
        up: What leads from the URL to `/v1/`, wherever that is for the client.
    """

    ref: str
    names: tuple[bytes, ...]
    up: str

    @property
    def path(self) -> bytes:
        """The names joined by `/`."""
        return b"/".join(self.names)


class Inside(NamedTuple):
    """What was found: the outline of the tree, and the entry."""

    whole: Outline
    entry: Entry


def place_of(request: Request, prefix: str) -> TreePath:
    """Reads the target of a request: `prefix`, as `/v1/files/`, a ref, `/-/`, a path.

    Raises:
        UsageError: The ref is not UTF-8.
    """
    raw: bytes = request.scope["raw_path"]
    rest = raw.partition(prefix.encode())[2]
    ref, _, path = rest.partition(_SEPARATOR)
    try:
        label = unquote_to_bytes(ref).decode()
    except UnicodeDecodeError as error:
        raise UsageError("a ref in a URL is UTF-8") from error
    names = tuple(unquote_to_bytes(name) for name in path.split(b"/") if name)
    return TreePath(label, names, up="../" * (1 + rest.count(b"/")))


def find_inside(store: ManifestSource, place: TreePath, fetch: FetchObjects) -> Inside:
    """Finds what lies at a place.

    Raises:
        UsageError: The ref stands for a file.
        NoNameError, NotFoundError: It stands for nothing; nothing lies there.
        DamagedObjectError: An object on the way is missing or damaged.
    """
    whole = load_outline(store, resolve(store, place.ref))
    if any(b"/" in name for name in place.names):
        raise NotFoundError("no file has a slash in its name")
    with tell_damage(f"below manifest {whole.id.hex()}"):
        entry = find(root_of(whole.manifest, fetch), place.path, fetch)
    return Inside(whole, entry)


def open_inside(store: ManifestSource, place: TreePath, fetch: FetchObjects) -> Outline:
    """The way into the content of a file inside of a tree.

    Raises:
        UsageError: It is no file.
        CasyncError: As `find_inside`.
    """
    found = find_inside(store, place, fetch)
    if not isinstance(found.entry, File):
        raise UsageError(
            "this is not a file", next_step="Folders are listed at /v1/trees/REF/-/PATH."
        )
    return open_content(store, found.whole, found.entry.content)
