"""Refs to whole manifests."""

from __future__ import annotations

from casync.errors import UsageError
from casync.names.name import Ref, parse_ref

__all__ = ["parse_whole_ref"]


def parse_whole_ref(text: str) -> Ref:
    """Parses a ref without a path.

    Raises:
        UsageError: It is not a ref, or has a path.
    """
    ref = parse_ref(text)
    if ref.path is not None:
        raise UsageError(f"{ref} has a path; this command takes whole manifests")
    return ref
