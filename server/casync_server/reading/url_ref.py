"""Refs in URLs: parses, resolves and locates them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec.structs import replace

from casync.access.locate import Located, locate
from casync.access.member_indexes import PASSING, MemberIndexes
from casync.errors import NoNameError, UsageError
from casync.ids import ManifestId
from casync.names.name import Ref, parse_ref
from casync.store.base import ManifestSource
from casync_server.reading.content import tell_damage

__all__ = ["NODES", "for_clients", "locate_url", "parse_url_ref", "resolve"]

NODES: Final = 32
"""Decoded nodes kept per reader: more than a path through all levels."""


def parse_url_ref(text: str) -> Ref:
    """Parses a ref of a URL or a document: a full hash, NAME or NAME@N.

    Raises:
        UsageError: It is none of these. Prefixes are only local: 32 bits can be brute-forced.
    """
    ref = parse_ref(text)
    if ref.prefix is not None:
        raise UsageError("hash prefixes work only in local stores; use the full hash or a name")
    if ref.path is not None:
        raise UsageError("a ref in a URL cannot contain a path")
    return ref


def resolve(store: ManifestSource, text: str) -> ManifestId:
    """The full manifest behind a ref of a URL.

    Raises:
        UsageError: It is not a valid ref of a URL.
        NoNameError: There is no such name or manifest.
    """
    with for_clients():
        return store.resolve(parse_url_ref(text))


def locate_url(
    store: ManifestSource,
    text: str,
    path: bytes | None = None,
    indexes: MemberIndexes = PASSING,
) -> Located:
    """Locates a ref of a URL.

    Args:
        store: The served store. Its full manifests have everything below them.
        text: The ref.
        path: The path in its tree or archive, names joined by `/`; None for the whole.
        indexes: Keeps the indexes of archives.

    Raises:
        UsageError: It is not a valid ref of a URL, or the path leads into a file.
        NoNameError, NotFoundError: There is no such name or manifest, or no such path in it.
        DamagedObjectError: An object on the way is missing or damaged.
        UnsupportedError: The manifest has a newer format version.
    """
    ref = parse_url_ref(text)
    if path is not None:
        ref = replace(ref, path=os.fsdecode(path))
    with for_clients(), tell_damage(f"below {text}"):
        return locate(ref, store, indexes=indexes, cached_nodes=NODES)


@contextmanager
def for_clients() -> Iterator[None]:
    """Drops the next step, which is for users of a local store."""
    try:
        yield
    except NoNameError as error:
        raise NoNameError(error.message) from error
