"""Cache-Control and ETags of answers.

Content named by a hash never changes; a name may point elsewhere at any moment. Shared caches may
keep objects; if tokens are required, `access.auth` makes the policies private.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from casync.ids import ID_BYTES, ObjectId

__all__ = ["FRESH", "IMMUTABLE", "NEVER", "PAGE", "etag_of", "not_modified", "policy_for_ref"]

IMMUTABLE: Final = "public, max-age=31536000, immutable"
FRESH: Final = "no-cache"
NEVER: Final = "no-store"
PAGE: Final = "public, max-age=3600"
"""For pages that are the same for everyone until the program is updated."""


def etag_of(ident: ObjectId) -> str:
    """The strong ETag of bytes that are named by their hash."""
    return f'"{ident.hex()}"'


def policy_for_ref(ref: str) -> str:
    """Cache-Control of an answer for a resolved `ref`, a hash or a name."""
    return IMMUTABLE if len(ref) == 2 * ID_BYTES and "/" not in ref and _is_hex(ref) else FRESH


def _is_hex(text: str) -> bool:
    return set(text) <= set("0123456789abcdef")


def not_modified(headers: Mapping[str, str]) -> Response:
    """A 304 with the fields that a cache updates."""
    kept = {name: headers[name] for name in ("ETag", "Cache-Control", "Vary") if name in headers}
    return Response(status_code=304, headers=kept)
