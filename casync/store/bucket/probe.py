"""Tries whether a storage is safe for writers, before the first of them writes to it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from casync.bucket.keys import PROBES
from casync.bucket.probe import ProbeFindings, judge
from casync.bucket.storage import ObjectStorage, Tag, TagForm
from casync.errors import CasyncError, RemoteError

__all__ = ["probe"]

_RACES: Final = 3
_WRITERS: Final = 20
_PAYLOAD_BYTES: Final = 3000
"""Random bytes of an object, as many as a small `head` has."""


def probe(storage: ObjectStorage) -> TagForm:
    """The form of tags that a storage takes, for `ObjectStorage.using`.

    Takes about a second. Its keys lie below `probe/` and are removed.

    Raises:
        UnsafeStorageError: Writers would lose data there.
        CasyncError: The storage fails, or does not know conditional writes.
    """
    folder = f"{PROBES}{secrets.token_hex(16)}"
    keys = [f"{folder}/object", f"{folder}/missing", *(f"{folder}/{i}" for i in range(_RACES))]
    try:
        return judge(storage.place, _try(storage, *keys))
    finally:
        with suppress(CasyncError):  # the outcome counts, and what is left does no harm
            storage.delete(keys)


def _try(storage: ObjectStorage, key: str, missing: str, *raced: str) -> ProbeFindings:
    first = _payload()
    storage.create(key, first)
    if _read(storage, key) != first:
        raise RemoteError(f"{storage.place} gives back other bytes than were written")
    overwrote = storage.create(key, _payload()) or _read(storage, key) != first
    stale = _tag(storage, key)
    form = next((form for form in TagForm if _takes(storage.using(form), key)), None)
    creates = [_race(storage, each, _creating(storage, each)) for each in raced]
    if form is None:
        return ProbeFindings(None, overwrote, False, False, creates, ())
    writer = storage.using(form)
    swapped_stale = _swaps(writer, key, stale)
    swapped_missing = _swaps(writer, missing, stale)
    swaps = [_race(storage, each, _swapping(writer, each, _tag(storage, each))) for each in raced]
    return ProbeFindings(form, overwrote, swapped_stale, swapped_missing, creates, swaps)


def _takes(storage: ObjectStorage, key: str) -> bool:
    """Whether an object is swapped that is still in the given state."""
    return _swaps(storage, key, _tag(storage, key))


def _swaps(storage: ObjectStorage, key: str, tag: Tag) -> bool:
    """Whether a swap took place: its own answer may say less than the object."""
    data = _payload()
    return storage.swap(key, data, tag) is not None or _read(storage, key) == data


def _creating(storage: ObjectStorage, key: str) -> Callable[[bytes], bool]:
    return lambda data: storage.create(key, data)


def _swapping(storage: ObjectStorage, key: str, tag: Tag) -> Callable[[bytes], bool]:
    return lambda data: storage.swap(key, data, tag) is not None


def _race(storage: ObjectStorage, key: str, write: Callable[[bytes], bool]) -> int:
    """How many of many writers that start at once win.

    An answer may be lost, so the object itself counts: whose bytes it has has won, too.
    """
    payloads = [_payload() for _ in range(_WRITERS)]
    start = threading.Barrier(_WRITERS)

    def run(data: bytes) -> bool:
        start.wait()
        return write(data)

    with ThreadPoolExecutor(_WRITERS) as threads:
        told = list(threads.map(run, payloads))
    won = {data for data, is_told in zip(payloads, told, strict=True) if is_told}
    return len(won | ({_read(storage, key)} & set(payloads)))


def _payload() -> bytes:
    return secrets.token_bytes(_PAYLOAD_BYTES)


def _read(storage: ObjectStorage, key: str) -> bytes | None:
    found = storage.get(key)
    return found and found.data


def _tag(storage: ObjectStorage, key: str) -> Tag:
    found = storage.get(key)
    if found is None:
        raise RemoteError(f"{storage.place} does not find an object that was just written")
    return found.tag
