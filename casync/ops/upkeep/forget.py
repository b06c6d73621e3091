"""Selects the old versions of a name to remove, by rules of retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from casync.names.name import NameRecord

__all__ = ["KeepRule", "forgettable"]


@dataclass(frozen=True, slots=True)
class KeepRule:
    """The versions of a history to keep: those that either rule keeps.

    Attributes:
        last: Number of newest versions to keep.
        within: Keep the versions of this many last seconds.
    """

    last: int = 0
    within: float = 0.0


def forgettable(history: Sequence[NameRecord], rule: KeepRule, now: float) -> list[NameRecord]:
    """The versions that `rule` does not keep. The newest version always stays.

    Args:
        history: All versions of one name, the oldest first.
        rule: The rule of retention.
        now: Seconds since 1970.
    """
    older = history[: len(history) - max(rule.last, 1)] if rule.last < len(history) else []
    return [record for record in older if record.created < now - rule.within]
