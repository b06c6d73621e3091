"""What caches between us and the client may keep.

What a hash names never changes; what a name points to may change any moment. Reading is anonymous
here, so shared caches may keep objects. Must not know what is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from casync.ids import ID_BYTES, ObjectId

__all__ = ["FRESH", "IMMUTABLE", "NEVER", "etag_of", "not_modified", "policy_for_ref"]

IMMUTABLE: Final = "public, max-age=31536000, immutable"
FRESH: Final = "no-cache"
NEVER: Final = "no-store"


def etag_of(ident: ObjectId) -> str:
    """The strong validator of bytes that are named by their hash."""
    return f'"{ident.hex()}"'


def policy_for_ref(ref: str) -> str:
    """Cache-Control of an answer for `ref`, which was resolved: a hash, or a name."""
    return IMMUTABLE if len(ref) == 2 * ID_BYTES and "/" not in ref and _is_hex(ref) else FRESH


def _is_hex(text: str) -> bool:
    return set(text) <= set("0123456789abcdef")


def not_modified(headers: Mapping[str, str]) -> Response:
    """304, with the fields that a cache refreshes from it."""
    kept = {name: headers[name] for name in ("ETag", "Cache-Control", "Vary") if name in headers}
    return Response(status_code=304, headers=kept)
