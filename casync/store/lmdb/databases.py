"""The names of the databases in a store's environment (docs/FORMAT.md section 5.3)."""

from __future__ import annotations

from typing import Final

__all__ = ["DATABASES", "JOB_DATABASES", "LATER_DATABASES"]

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

JOB_DATABASES: Final = ("jobs", "job_items", "job_faults", "job_parts", "origins")
"""What downloads keep besides the names that they make (section 5.5)."""

LATER_DATABASES: Final = (
    "trash",
    "writers",
    "pushes",
    "tokens",
    "namespace_tokens",
    *JOB_DATABASES,
    "member_indexes",
)
"""Stores of the first releases lack these until they are opened for writing."""
