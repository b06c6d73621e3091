"""Reading a file out of a store that serves it, every byte proved.

A FULL manifest has everything below it, so whatever is not there, or does not hold what its id
names, is damage of the store and not the client's mistake. Must not know about HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from casync.access.content_file import read_range
from casync.access.outline import Outline
from casync.errors import DamagedObjectError, IntegrityError, NoObjectError
from casync.ids import Buffer, Kind, ManifestId
from casync.limits import MIB
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader
from casync_server.http.request_stats import RequestStats

__all__ = ["load_manifest", "read_content", "tell_damage"]

_AHEAD: Final = MIB
"""Plain bytes read at a time: there may be hundreds of readers."""


def load_manifest(source: ObjectSource, ident: ManifestId) -> bytes:
    """The proved bytes of a manifest.

    Raises:
        DamagedObjectError: It is missing or damaged.
    """
    return ProvedReader(source, missing=DamagedObjectError).one(Kind.MANIFEST, ident)


def read_content(
    source: ObjectSource, outline: Outline, start: int, end: int, stats: RequestStats
) -> Iterator[Buffer]:
    """Yields bytes `start` up to `end` of a file.

    Raises:
        DamagedObjectError: An object below is missing or damaged; the message names it.
    """
    with tell_damage(f"below manifest {outline.id.hex()}"):
        for part in read_range(outline, source, start, end, ahead=_AHEAD):
            stats.objects += 1
            yield part


@contextmanager
def tell_damage(where: str) -> Iterator[None]:
    """Translates what is missing or malformed below a full manifest.

    Raises:
        DamagedObjectError: Anything of that kind.
    """
    try:
        yield
    except DamagedObjectError:
        raise
    except (IntegrityError, NoObjectError) as error:
        raise DamagedObjectError(f"{where}: {error.message}") from error
