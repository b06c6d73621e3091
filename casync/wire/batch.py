"""The request for many files and members as one tar (docs/PROTOCOL.md shows it).

The keys are those of AIStore's GetBatch; keys that have no meaning here are ignored, as everywhere.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from casync.limits import MAX_BATCH_ITEMS
from casync.wire.documents import Length

__all__ = ["MISSING", "TAR_TYPE", "BatchItem", "BatchRequest"]

TAR_TYPE: Final = "application/x-tar"
"""The media type of the answer."""

MISSING: Final = b"__404__"
"""The folder of members that stand for items without bytes."""


class BatchItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file, or a part of one.

    Attributes:
        objname: A full hash, NAME or NAME@N.
        bucket: How the name begins, without the slash after it.
        archpath: The path in the folder or archive that it is; empty for the file itself.
        start: Where the part begins.
        length: Its bytes; 0 for all up to the end.
    """

    objname: Annotated[str, msgspec.Meta(min_length=1)]
    bucket: str = ""
    archpath: str = ""
    start: Length = 0
    length: Length = 0

    @property
    def ref(self) -> str:
        """The ref."""
        return f"{self.bucket}/{self.objname}" if self.bucket else self.objname


class BatchRequest(msgspec.Struct, frozen=True):
    """What shall be sent.

    Attributes:
        items: In their order.
        mime: The format of the answer.
        coer: Send an empty member for what cannot be had, instead of failing.
        onob: Leave buckets out of the names of the answer.
        strm: Send a stream, as is always done.
    """

    items: Annotated[list[BatchItem], msgspec.Meta(min_length=1, max_length=MAX_BATCH_ITEMS)] = (
        msgspec.field(name="in")
    )
    mime: str = ".tar"
    coer: bool = False
    onob: bool = False
    strm: bool = True
