"""Lets WebDataset read shards at `casync://`."""

from __future__ import annotations

import io
from typing import IO, Any, Final

from webdataset.gopen import gopen_schemes

from casync.access.content_file import ContentFile
from casync.errors import UnsupportedError
from casync.limits import MIB
from casync.training.filesystem import CasyncFileSystem

__all__ = ["register"]

_AHEAD: Final = 4 * MIB
"""Bytes that are read at a time, as by `casync.members`."""


def register(**options: Any) -> None:
    """Adds `casync://` to what WebDataset opens. Call it in every worker that is spawned.

    Args:
        options: As of `CasyncFileSystem`: `store`, or `server` and `token`.
    """

    def gopen(url: str, mode: str = "rb", *_: Any, **_options: Any) -> IO[bytes]:
        if mode != "rb":
            raise UnsupportedError("casync:// is read-only")
        content = CasyncFileSystem(**options).content(url)
        return io.BufferedReader(ContentFile(content), _AHEAD)

    gopen_schemes["casync"] = gopen
