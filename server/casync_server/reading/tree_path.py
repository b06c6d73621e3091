"""What lies inside of a tree, by the path that a URL spells out after `/-/`.

File names are bytes, and a URL can say any of them, but a decoded path cannot: the raw one is read
here. Each component is decoded by itself, so `%2F` is no separator, and no name either.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from fastapi import Request

from casync.errors import NotFoundError, UsageError

__all__ = ["PARAMETERS", "TreePath", "place_of"]

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


def place_of(request: Request, prefix: str) -> TreePath:
    """Reads the target of a request: `prefix`, as `/v1/files/`, a ref, `/-/`, a path.

    Raises:
        UsageError: The ref is not UTF-8.
        NotFoundError: A name has a slash, which no file's has.
    """
    raw: bytes = request.scope["raw_path"]
    rest = raw.partition(prefix.encode())[2]
    ref, _, path = rest.partition(_SEPARATOR)
    try:
        label = unquote_to_bytes(ref).decode()
    except UnicodeDecodeError as error:
        raise UsageError("a ref in a URL is UTF-8") from error
    names = tuple(unquote_to_bytes(name) for name in path.split(b"/") if name)
    if any(b"/" in name for name in names):
        raise NotFoundError("no file has a slash in its name")
    return TreePath(label, names, up="../" * (1 + rest.count(b"/")))
