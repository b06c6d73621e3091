"""Refs in URLs: read, resolved, and followed to what they lead to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec.structs import replace

from casync.access.locate import Located, locate
from casync.errors import NoNameError, UsageError
from casync.ids import ManifestId
from casync.names.name import Ref, parse_ref
from casync.store.base import ManifestSource
from casync_server.reading.content import tell_damage

__all__ = ["locate_url", "parse_url_ref", "resolve"]

_NODES: Final = 32
"""Decoded nodes kept for one reader: a path through all levels and some."""


def parse_url_ref(text: str) -> Ref:
    """Reads a ref of a URL or a document: a full hash, NAME or NAME@N.

    Raises:
        UsageError: It is none of these. Prefixes are for local stores: 32 bits can be ground out.
    """
    ref = parse_ref(text)
    if ref.prefix is not None:
        raise UsageError("over HTTP a ref is a full hash or a name, not a prefix")
    if ref.path is not None:
        raise UsageError("a ref in a URL has no path inside")
    return ref


def resolve(store: ManifestSource, text: str) -> ManifestId:
    """The full manifest behind a ref of a URL.

    Raises:
        UsageError: It is no ref of a URL.
        NoNameError: It points to nothing that may be served.
    """
    with _for_clients():
        return store.resolve(parse_url_ref(text))


def locate_url(store: ManifestSource, text: str, path: bytes | None = None) -> Located:
    """What a ref of a URL leads to.

    Args:
        store: What is served. Its full manifests have everything below them.
        text: The ref.
        path: What comes after it, names joined by `/`; None for the whole.

    Raises:
        UsageError: It is no ref of a URL, or leads into a file.
        NoNameError, NotFoundError: It points to nothing; nothing lies at the path.
        DamagedObjectError: An object on the way is missing or damaged.
        UnsupportedError: The manifest is newer than this program.
    """
    ref = parse_url_ref(text)
    if path is not None:
        ref = replace(ref, path=os.fsdecode(path))
    with _for_clients(), tell_damage(f"below {text}"):
        return locate(ref, store, cached_nodes=_NODES)


@contextmanager
def _for_clients() -> Iterator[None]:
    """Leaves out what the next step is for local users."""
    try:
        yield
    except NoNameError as error:
        raise NoNameError(error.message) from error
