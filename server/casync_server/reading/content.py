"""Reads a file from a served store; every byte is verified.

A FULL manifest has everything below it. A missing or wrong object is therefore damage of the store,
not an error of the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from casync.access.archive import MemberContent
from casync.access.content_file import read_batches
from casync.access.outline import Outline
from casync.errors import DamagedObjectError, IntegrityError, NoObjectError
from casync.ids import Buffer, Kind, ManifestId
from casync.limits import MIB
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader
from casync_server.http.request_stats import RequestStats

__all__ = ["load_manifest", "read_content", "read_member", "tell_damage"]

_AHEAD: Final = MIB
"""Plain bytes read at a time; small, because there may be hundreds of readers."""


def load_manifest(source: ObjectSource, ident: ManifestId) -> bytes:
    """The verified bytes of a manifest.

    Raises:
        DamagedObjectError: The manifest is missing or damaged.
    """
    return ProvedReader(source, missing=DamagedObjectError).one(Kind.MANIFEST, ident)


def read_content(
    source: ObjectSource,
    outline: Outline,
    start: int,
    end: int,
    size: Callable[[], int],
    stats: RequestStats,
) -> Iterator[list[Buffer]]:
    """Yields bytes `start` to `end` (exclusive) of a file, in batches of about `size()` bytes.

    Raises:
        DamagedObjectError: An object below is missing or damaged; the message names it.
    """
    with tell_damage(f"below manifest {outline.id.hex()}"):
        for batch in read_batches(outline, source, start, end, lambda: min(size(), _AHEAD)):
            stats.objects += len(batch)
            yield batch
            del batch


def read_member(
    member: MemberContent, start: int, end: int, stats: RequestStats
) -> Iterator[list[Buffer]]:
    """Yields bytes `start` to `end` (exclusive) of a member of an archive, in batches.

    Raises:
        DamagedObjectError: As `read_content`.
    """
    with tell_damage(f"below archive {member.identity}"):
        for block in member.read(start, end):
            stats.objects += 1
            yield [block]


@contextmanager
def tell_damage(where: str) -> Iterator[None]:
    """Turns errors below a full manifest into `DamagedObjectError`.

    Raises:
        DamagedObjectError: An object is missing, damaged or malformed.
    """
    try:
        yield
    except DamagedObjectError:
        raise
    except (IntegrityError, NoObjectError) as error:
        raise DamagedObjectError(f"{where}: {error.message}") from error
