"""Forget: which old versions a name can do without. Must not know what removes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from casync.names.name import NameRecord

__all__ = ["KeepRule", "forgettable"]


@dataclass(frozen=True, slots=True)
class KeepRule:
    """What to keep of a history. What either part keeps stays.

    Attributes:
        last: How many of the newest versions.
        within: Seconds before now in which versions were set that stay.
    """

    last: int = 0
    within: float = 0.0


def forgettable(history: Sequence[NameRecord], rule: KeepRule, now: float) -> list[NameRecord]:
    """The versions that `rule` does not keep. The newest always stays: a name is not forgotten.

    Args:
        history: All versions of one name, the oldest first.
        rule: What stays.
        now: Seconds since 1970.
    """
    older = history[: len(history) - max(rule.last, 1)] if rule.last < len(history) else []
    return [record for record in older if record.created < now - rule.within]
