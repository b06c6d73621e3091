"""A change of one name: what it shall point to, and on which terms."""

from __future__ import annotations

from typing import NamedTuple

from casync.ids import ManifestId
from casync.names.name import Name

__all__ = ["NameUpdate"]


class NameUpdate(NamedTuple):
    """A name that shall point to a manifest.

    Attributes:
        name: The name.
        manifest: What it shall point to.
        expected: The version that must be the newest, 0 for none; None accepts any.
        signed: The publisher's signed claim about the next version (`casync.names.name_claim`),
            or nothing.
    """

    name: Name
    manifest: ManifestId
    expected: int | None = None
    signed: bytes = b""
