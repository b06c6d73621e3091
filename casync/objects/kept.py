"""A range of an old content that a new one has as well."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Kept"]


class Kept(NamedTuple):
    """The bytes of the old content from `start` up to `end`."""

    start: int
    end: int
