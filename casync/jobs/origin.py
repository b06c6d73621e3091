"""Origins: where the newest version of a name was fetched from."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec.structs import replace

from casync.ids import ID_BYTES, Buffer
from casync.jobs.encoding import decode, encode, kept_key, key_kept_as
from casync.jobs.validators import Validators

__all__ = ["Origin", "decode_origin", "encode_origin"]


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a version of a name came from. It holds only while the name has that manifest.

    Attributes:
        place: The place of the source (`RemoteSource.place`), without secrets.
        key: The object's key there.
        manifest: The id of the manifest that was made.
        size: Bytes of the object.
        validators: What the source said when the object was fetched.
    """

    place: str
    key: str
    manifest: Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
    size: Annotated[int, msgspec.Meta(ge=0)]
    validators: Validators = Validators()


def encode_origin(origin: Origin) -> bytes:
    """The bytes of an origin."""
    return encode(replace(origin, key=kept_key(origin.key)))


def decode_origin(data: Buffer) -> Origin:
    """Reads an origin; MalformedError if it is not one."""
    origin = decode(data, Origin)
    return replace(origin, key=key_kept_as(origin.key))
