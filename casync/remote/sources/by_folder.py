"""Listings that go on beside keys that are no paths, with a request per folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from casync.errors import MalformedError
from casync.jobs.collisions import NameDigests
from casync.remote.sources.base import Listed, RemoteSource

__all__ = ["list_all", "list_by_folder"]


def list_all(source: RemoteSource, prefix: str) -> Iterator[Listed]:
    """All objects below a prefix, each once; folders are asked for only if a key hides others.

    Raises as `list_by_folder`.
    """
    seen = NameDigests()
    try:
        for listed in source.list_below(prefix):
            seen.add(listed.key)
            yield listed
    except MalformedError:
        for listed in list_by_folder(source, prefix):
            if listed.key not in seen:
                yield listed


def list_by_folder(
    source: RemoteSource, first: str, leads: Callable[[str], bool] = lambda _: True
) -> Iterator[Listed]:
    """All objects below a folder. What can be no key, and a folder that cannot be listed, is none.

    Args:
        source: The source.
        first: The folder; its key ends with a slash, or is empty.
        leads: Whether to list a folder below it.

    Raises:
        MalformedError: The first folder cannot be listed, because of a key that is not a path.
        CasyncError: As `RemoteSource.list_folder`.
    """
    waiting = [first]
    while waiting:
        folder = waiting.pop()
        try:
            level = source.list_folder(folder)
        except MalformedError:
            if folder == first:
                raise
            yield Listed(folder, None, is_key=False)
            continue
        yield from level.objects
        yield from (Listed(folder + odd, None, is_key=False) for odd in level.odd)
        waiting += [each for each in level.prefixes if leads(each)]
