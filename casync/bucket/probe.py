"""Whether a storage is safe for writers, from what was seen when it was tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from casync.bucket.storage import TagForm
from casync.errors import UnsafeStorageError

__all__ = ["ProbeFindings", "judge"]


class ProbeFindings(NamedTuple):
    """What a storage did.

    Attributes:
        form: The form of tags with which an object was swapped; None if there was none.
        overwrote: Whether `create` replaced an object.
        swapped_stale: Whether `swap` replaced an object that was not in the given state any more.
        swapped_missing: Whether `swap` wrote an object that did not exist.
        creates: How many of the writers that created one object at once won it, for each race.
        swaps: The same of writers that swapped one object.
    """

    form: TagForm | None
    overwrote: bool
    swapped_stale: bool
    swapped_missing: bool
    creates: Sequence[int]
    swaps: Sequence[int]


def judge(place: str, findings: ProbeFindings) -> TagForm:
    """The form of tags to use with a storage.

    Raises:
        UnsafeStorageError: Writers would lose data there. The message says what was seen.
    """
    faults = _faults(findings)
    if findings.form is None or faults:
        raise UnsafeStorageError(
            f"{place} is not safe to write to: {'; '.join(faults)}",
            next_step="Use a storage that supports conditional writes (docs/OPERATION.md), or read "
            "from this one only.",
        )
    return findings.form


def _faults(findings: ProbeFindings) -> Sequence[str]:
    found: list[str] = []
    if findings.overwrote:
        found.append("If-None-Match replaced an existing object")
    if findings.form is None:
        found.append("If-Match refused the ETag of the object, with and without quotes")
    if findings.swapped_stale:
        found.append("If-Match accepted the ETag of an older state")
    if findings.swapped_missing:
        found.append("If-Match wrote an object that did not exist")
    if any(winners != 1 for winners in findings.creates):
        found.append(f"races to create one object had {_counts(findings.creates)} winners")
    if any(winners != 1 for winners in findings.swaps):
        found.append(f"races to replace one object had {_counts(findings.swaps)} winners")
    return found


def _counts(winners: Sequence[int]) -> str:
    return ", ".join(map(str, winners))
