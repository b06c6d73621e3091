"""Tells in which store or on which server an object is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from casync.errors import DamagedObjectError

__all__ = ["placing_damage"]


@contextmanager
def placing_damage(place: str, next_step: str = "") -> Iterator[None]:
    """Adds to errors about damaged objects where these are, if they do not say it.

    Args:
        place: The store, or the server.
        next_step: What to do, if it differs from what the error says.
    """
    try:
        yield
    except DamagedObjectError as error:
        if error.where:
            raise
        raise DamagedObjectError(
            f"{place}: {error.message}", next_step=next_step or error.next_step, where=place
        ) from error
