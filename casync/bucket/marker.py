"""The marker: the object that says what lies below a prefix (docs/FORMAT.md section 11.1)."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from casync.errors import MalformedError, UnsupportedError

__all__ = ["MARKER_FORMAT", "PrefixMarker", "PrefixKind", "decode_marker", "encode_marker"]

MARKER_FORMAT: Final = 2
"""The format of what lies beside the marker."""

PrefixKind = Literal["store", "site"]
"""A store that writers share, or a site that one publisher writes and everyone reads."""

_UUID: Final = re.compile(r"[0-9a-f]{32}")


class PrefixMarker(msgspec.Struct, frozen=True):
    """A marker.

    Attributes:
        format: `MARKER_FORMAT`.
        kind: What lies there.
        uuid: The UUID of the store or site, as 32 hex digits.
        created: When it was made, in seconds since 1970. For people only.
    """

    format: int
    kind: PrefixKind
    uuid: str
    created: int

    @property
    def id(self) -> bytes:
        """The UUID, 16 bytes."""
        return bytes.fromhex(self.uuid)


_DECODER: Final = msgspec.json.Decoder(PrefixMarker)


def encode_marker(marker: PrefixMarker) -> bytes:
    """The bytes of a marker."""
    return msgspec.json.encode(marker)


def decode_marker(data: bytes) -> PrefixMarker:
    """Reads a marker.

    Raises:
        UnsupportedError: Its format is newer than this program.
        MalformedError: It is not a marker.
    """
    try:
        marker = _DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"not a marker: {error}") from error
    if marker.format > MARKER_FORMAT:
        raise UnsupportedError(
            f"format {marker.format} is newer than {MARKER_FORMAT}, which this program reads",
            next_step="Use a newer casync.",
        )
    if marker.format != MARKER_FORMAT or not _UUID.fullmatch(marker.uuid):
        raise MalformedError("not a marker: an impossible format or UUID")
    return marker
