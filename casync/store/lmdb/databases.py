"""The names of the databases in a store's environment (docs/FORMAT.md section 5.3)."""

from __future__ import annotations

from typing import Final

__all__ = ["DATABASES", "LATER_DATABASES"]

DATABASES: Final = (
    "meta",
    "index",
    "segments",
    "segment_use",
    "manifests",
    "names",
    "name_log",
    "seeds",
)
"""Every store has these; a store that lacks one is damaged."""

LATER_DATABASES: Final = ("trash", "writers", "pushes", "tokens", "namespace_tokens")
"""Stores of the first releases lack these until they are opened for writing."""
