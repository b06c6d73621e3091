"""Lets WebDataset read shards at `casync://`."""

from __future__ import annotations

from typing import IO, Any

from webdataset.gopen import gopen_schemes

from casync.errors import UnsupportedError
from casync.training.filesystem import CasyncFileSystem
from casync.training.read_ahead import open_ahead, start_ahead

__all__ = ["register"]


def register(**options: Any) -> None:
    """Adds `casync://` to what WebDataset opens, and starts the process that reads ahead.

    Call it in every worker that is spawned.

    Args:
        options: As of `CasyncFileSystem`: `store`, or `server` and `token`.

    Raises:
        UsageError: Neither a store nor a server is given, or both.
    """
    start_ahead(CasyncFileSystem(**options).source)

    def gopen(url: str, mode: str = "rb", *_: Any, **_options: Any) -> IO[bytes]:
        if mode != "rb":
            raise UnsupportedError("casync:// is read-only")
        files = CasyncFileSystem(**options)
        return open_ahead(files.content(url), files.source)

    gopen_schemes["casync"] = gopen
