"""The rows of jobs (docs/FORMAT.md section 5.5): keys and values of their databases."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import zstandard

from casync.errors import DamagedStoreError, MalformedError, UsageError
from casync.ids import Buffer
from casync.jobs import fault, half_fetched, job, origin
from casync.jobs.fault import ObjectFault
from casync.jobs.half_fetched import FetchedPart
from casync.jobs.item import Item, decode_items, encode_items
from casync.jobs.job import JobRow
from casync.jobs.origin import Origin
from casync.limits import MAX_JOB_BLOCK_BYTES
from casync.store.job_rules import is_job_id
from casync.store.lmdb.lmdb_errors import REBUILD

__all__ = [
    "ItemBlock",
    "block_key",
    "decode_block",
    "decode_fault",
    "decode_items_of",
    "decode_job",
    "decode_origin",
    "decode_part",
    "decode_time",
    "encode_block",
    "encode_items_of",
    "encode_time",
    "fault_key",
    "is_job_key",
    "job_key",
    "job_of",
    "object_index",
    "parts_prefix",
    "part_key",
    "part_number",
    "stop_key",
]

_STOP: Final = b"s\0"
_ID_BYTES: Final = 13
_NUMBER: Final = struct.Struct(">Q")
_PART: Final = struct.Struct(">I")
_TIME: Final = struct.Struct("<Q")
_BLOCK: Final = struct.Struct("<BI")
_CLEAR: Final = 1
_SEALED: Final = 2


class ItemBlock(NamedTuple):
    """A value of `job_items`.

    Attributes:
        sealed: Whether the frame is sealed, because an item holds a secret.
        items: Number of items.
        frame: The encoded items as a zstd frame.
    """

    sealed: bool
    items: int
    frame: bytes


# -- Keys -----------------------------------------------------------------------------------------


def job_key(ident: str) -> bytes:
    """The key of a job in `jobs`; the keys of its rows in other databases begin with it."""
    return ident.encode()


def stop_key(ident: str) -> bytes:
    """The key in `jobs` of a request to stop a job."""
    return _STOP + ident.encode()


def is_job_key(key: bytes) -> bool:
    """Whether a key of `jobs` is that of a job."""
    return len(key) == _ID_BYTES and bool(job_of(key))


def job_of(key: bytes) -> str:
    """The job whose row a key is, in any of the databases; empty if the key is malformed."""
    text = key.removeprefix(_STOP)[:_ID_BYTES].decode(errors="replace")
    return text if is_job_id(text) else ""


def block_key(ident: str, block: int) -> bytes:
    """The key of a block of items in `job_items`."""
    return job_key(ident) + _NUMBER.pack(block)


def fault_key(ident: str, index: int) -> bytes:
    """The key of an object's fault in `job_faults`."""
    return job_key(ident) + _NUMBER.pack(index)


def parts_prefix(ident: str, index: int) -> bytes:
    """The beginning of the keys of an object's parts in `job_parts`."""
    return job_key(ident) + _NUMBER.pack(index)


def part_key(ident: str, index: int, number: int) -> bytes:
    """The key of a part of an object in `job_parts`."""
    return parts_prefix(ident, index) + _PART.pack(number)


def object_index(key: bytes) -> int:
    """The index of an object, from the key of its fault or of a part, or the number of a block.

    Raises:
        DamagedStoreError: The key is malformed.
    """
    with _reading("job"):
        return int(_NUMBER.unpack(key[_ID_BYTES : _ID_BYTES + _NUMBER.size])[0])


def part_number(key: bytes) -> int:
    """The number of a part, from its key. Raises as `object_index`."""
    with _reading("job_parts"):
        return int(_PART.unpack(key[_ID_BYTES + _NUMBER.size :])[0])


# -- Values ---------------------------------------------------------------------------------------


def decode_job(value: Buffer) -> JobRow:
    """Reads a job of `jobs`; DamagedStoreError if it is malformed."""
    with _reading("jobs"):
        return job.decode_job(value)


def encode_time(seconds: int) -> bytes:
    """A time, in seconds since 1970, as a value of `jobs`."""
    return _TIME.pack(max(seconds, 0))


def decode_time(value: Buffer) -> int:
    """Reads what `encode_time` writes; DamagedStoreError if it is malformed."""
    with _reading("jobs"):
        return int(_TIME.unpack(value)[0])


def encode_items_of(items: Sequence[Item]) -> bytes:
    """Items as a zstd frame.

    Raises:
        UsageError: They are too large for a block.
    """
    plain = encode_items(items)
    if len(plain) > MAX_JOB_BLOCK_BYTES:
        raise UsageError("the addresses and names of a job are too long")
    return zstandard.ZstdCompressor(write_content_size=True).compress(plain)


def decode_items_of(frame: bytes, count: int) -> list[Item]:
    """Reads what `encode_items_of` writes.

    Raises:
        DamagedStoreError: It is malformed, or has not `count` items.
    """
    with _reading("job_items"):
        length = zstandard.frame_content_size(frame)
        if not 0 < length <= MAX_JOB_BLOCK_BYTES:
            raise MalformedError(f"a frame of {length} bytes")
        items = decode_items(zstandard.ZstdDecompressor().decompress(frame))
        if len(items) != count:
            raise MalformedError(f"{len(items)} items instead of {count}")
        return items


def encode_block(block: ItemBlock) -> bytes:
    """A value of `job_items`."""
    return _BLOCK.pack(_SEALED if block.sealed else _CLEAR, block.items) + block.frame


def decode_block(value: Buffer) -> ItemBlock:
    """Reads a value of `job_items`; DamagedStoreError if it is malformed."""
    with _reading("job_items"):
        form, items = _BLOCK.unpack_from(value)
        if form not in (_CLEAR, _SEALED):
            raise MalformedError(f"a block of the unknown form {form}")
        return ItemBlock(form == _SEALED, items, bytes(value[_BLOCK.size :]))


def decode_fault(value: Buffer) -> ObjectFault:
    """Reads a value of `job_faults`; DamagedStoreError if it is malformed."""
    with _reading("job_faults"):
        return fault.decode_fault(value)


def decode_part(value: Buffer) -> FetchedPart:
    """Reads a value of `job_parts`; DamagedStoreError if it is malformed."""
    with _reading("job_parts"):
        return half_fetched.decode_part(value)


def decode_origin(value: Buffer) -> Origin:
    """Reads a value of `origins`; DamagedStoreError if it is malformed."""
    with _reading("origins"):
        return origin.decode_origin(value)


@contextmanager
def _reading(database: str) -> Iterator[None]:
    try:
        yield
    except (MalformedError, struct.error, zstandard.ZstdError) as error:
        raise _damaged(database, str(error)) from error


def _damaged(database: str, reason: str) -> DamagedStoreError:
    return DamagedStoreError(f"the store has a damaged {database} row: {reason}", next_step=REBUILD)
