"""Paths in a tree, as a URL has them after `/-/`.

File names are bytes, which a URL can encode but a decoded path cannot hold, so this reads the raw
path. Each component is decoded by itself: `%2F` is not a separator, and a name cannot contain it.
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
        "description": "Names joined by slashes, each percent-encoded bytes.",
        "schema": {"type": "string"},
    },
]
"""Parameters that the routes below `/-/` read from the raw path, for OpenAPI."""


class TreePath(NamedTuple):
    """A ref and a path below it.

    Attributes:
        ref: A ref, not parsed yet.
        names: The names in the path.
        up: Relative URL that leads to `/v1/`; works behind a proxy with a path prefix.
    """

    ref: str
    names: tuple[bytes, ...]
    up: str

    @property
    def path(self) -> bytes:
        """The names joined by `/`."""
        return b"/".join(self.names)


def place_of(request: Request, prefix: str) -> TreePath:
    """Parses the target of a request: `prefix` such as `/v1/files/`, a ref, `/-/`, a path.

    Raises:
        UsageError: The ref is not UTF-8.
        NotFoundError: A name contains a slash, which file names cannot.
    """
    raw: bytes = request.scope["raw_path"]
    rest = raw.partition(prefix.encode())[2]
    ref, _, path = rest.partition(_SEPARATOR)
    try:
        label = unquote_to_bytes(ref).decode()
    except UnicodeDecodeError as error:
        raise UsageError("the ref in the URL is not UTF-8") from error
    names = tuple(unquote_to_bytes(name) for name in path.split(b"/") if name)
    if any(b"/" in name for name in names):
        raise NotFoundError("a file name cannot contain a slash")
    return TreePath(label, names, up="../" * (1 + rest.count(b"/")))
