"""Opens storages by address, with the one table of their schemes.

An adapter and its library are loaded when one of its addresses is opened.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Final, cast

from casync.bucket.storage import ObjectStorage
from casync.errors import UsageError
from casync.remote.sources.options import SourceOptions

__all__ = ["is_storage", "open_storage"]

_BUCKETS: Final = ("obstore", "open_bucket")
_OPENERS: Final = {
    "s3": _BUCKETS,
    "aws": _BUCKETS,
    "gs": _BUCKETS,
    "gcp": _BUCKETS,
    "az": _BUCKETS,
    "azure": _BUCKETS,
    "file": ("folder", "open_folder"),
}
"""Module and function of each scheme."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_storage(address: str) -> bool:
    """Whether an address is that of a storage, by its scheme."""
    return _scheme_of(address) in _OPENERS


def open_storage(address: str, options: SourceOptions = SourceOptions()) -> ObjectStorage:
    """Opens a storage. No request is made yet, and no folder is made.

    Args:
        address: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or
            `file:///FOLDER`.
        options: How to reach it.

    Raises:
        UsageError: It is not such an address, or the options do not fit.
        CasyncError: The adapter cannot be set up.
    """
    scheme = _scheme_of(address)
    if scheme not in _OPENERS:
        raise UsageError(
            "stores lie in s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or "
            "file:///FOLDER",
            next_step="Write one of these.",
        )
    module, name = _OPENERS[scheme]
    found = getattr(importlib.import_module(f"casync.remote.storages.{module}"), name)
    return cast("Callable[[str, SourceOptions], ObjectStorage]", found)(address, options)


def _scheme_of(address: str) -> str:
    found = _SCHEME.match(address)
    return found[1].lower() if found else ""
