"""Lets WebDataset read shards at `casync://`."""

from __future__ import annotations

from typing import IO, Any

import fsspec
from webdataset.gopen import gopen_schemes

__all__ = ["register"]


def register(**options: Any) -> None:
    """Adds `casync://` to what WebDataset opens. Call it in every worker that is spawned.

    Args:
        options: As of `CasyncFileSystem`: `store`, or `server` and `token`.
    """

    def gopen(url: str, mode: str = "rb", *_: Any, **_options: Any) -> IO[bytes]:
        opened: IO[bytes] = fsspec.open(url, mode, **options).open()
        return opened

    gopen_schemes["casync"] = gopen
