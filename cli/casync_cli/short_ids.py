"""Hashes for people: as many digits as tell one from all others of a local store.

Commands resolve these prefixes in the local store only, so hashes of a server are never shortened.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from casync.errors import NoNameError, UsageError
from casync.names.name import Ref
from casync_cli.columns import SHORT_DIGITS

if TYPE_CHECKING:
    from casync.store.base import ManifestSource

__all__ = ["ShowId", "full_id", "short_among", "short_in"]

ShowId: TypeAlias = Callable[[bytes], str]
"""The digits to show of an id."""

_STEP: Final = 4
"""Digits that are added while a prefix is ambiguous."""


def full_id(ident: bytes) -> str:
    """All digits."""
    return ident.hex()


def short_in(store: ManifestSource) -> ShowId:
    """Prefixes that `store` resolves; all digits of what it does not list."""

    def is_unique(prefix: str) -> bool:
        try:
            store.resolve(Ref(prefix=prefix))
        except (NoNameError, UsageError):
            return False
        return True

    return lambda ident: _shortest(ident.hex(), is_unique)


def short_among(ids: Iterable[bytes]) -> ShowId:
    """Prefixes that tell these ids from each other."""
    ordered = sorted({ident.hex() for ident in ids})

    def is_unique(prefix: str) -> bool:
        first = bisect_left(ordered, prefix)
        return not any(other.startswith(prefix) for other in ordered[first + 1 : first + 2])

    return lambda ident: _shortest(ident.hex(), is_unique)


def _shortest(digits: str, is_unique: Callable[[str], bool]) -> str:
    lengths = range(SHORT_DIGITS, len(digits), _STEP)
    return next((digits[:n] for n in lengths if is_unique(digits[:n])), digits)
