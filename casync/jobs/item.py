"""Items: the objects of a job, each with the name that it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec.structs import replace

from casync.errors import MalformedError, UsageError
from casync.ids import Buffer
from casync.jobs.encoding import decode, kept_key, key_kept_as
from casync.jobs.validators import NO_VALIDATORS, Validators
from casync.names.name import parse_name

__all__ = ["Item", "decode_items", "encode_items"]


class Item(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One object of a job.

    Attributes:
        key: Its key below the source, as listings have it; or its own address, byte for byte as
            the user, a template or a list has it.
        name: The name that it gets; empty if no name can be made from the key, so it fails.
        is_url: Whether `key` is an address.
        size: Its size in bytes, if a list or a listing says it.
        validators: What a list or a listing says besides, so that an unchanged object needs no
            request.
        headers: Header fields of its requests, from a list of objects. Secret.
    """

    key: str
    name: str
    is_url: bool = False
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    validators: Validators = NO_VALIDATORS
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def is_secret(self) -> bool:
        """Whether it may hold a secret: header fields, a user, or a presigned query."""
        return bool(self.headers) or (self.is_url and ("@" in self.key or "?" in self.key))


class _Block(msgspec.Struct, array_like=True):
    items: list[Item]


def encode_items(items: Sequence[Item]) -> bytes:
    """The bytes of a block of items."""
    kept = [
        item if (key := kept_key(item.key)) is item.key else replace(item, key=key)
        for item in items
    ]
    return msgspec.msgpack.encode(_Block(kept))


def decode_items(data: Buffer) -> list[Item]:
    """Reads a block of items.

    Raises:
        MalformedError: `data` is not a block, or a name in it is invalid.
    """
    items = decode(data, _Block).items
    try:
        for item in items:
            if item.name:
                parse_name(item.name)
    except UsageError as error:
        raise MalformedError(f"an item has an invalid name: {error}") from error
    return [
        item if (key := key_kept_as(item.key)) is item.key else replace(item, key=key)
        for item in items
    ]
