"""Refs to whole manifests, for commands that do not look inside."""

from __future__ import annotations

from casync.errors import UsageError
from casync.names.name import Ref, parse_ref

__all__ = ["parse_whole_ref"]


def parse_whole_ref(text: str) -> Ref:
    """Reads a ref without a path.

    Raises:
        UsageError: It is none.
    """
    ref = parse_ref(text)
    if ref.path is not None:
        raise UsageError(f"{ref} is inside a manifest; only the whole of one has names")
    return ref
