"""What the validators of an object decide: whether it is sent again, goes on, or has changed."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from casync.jobs.checksum import is_supported
from casync.jobs.item import Item
from casync.jobs.origin import Origin
from casync.jobs.validators import Sameness, Validators, sameness
from casync.ops.download.fetch import Fetch

__all__ = [
    "condition",
    "fits_list",
    "has_changed",
    "is_same",
    "may_resume",
    "origin_validators",
    "own_origin",
]

_LISTED_TO: Final = 60_000_000_000
"""Nanoseconds to which the times of listings are exact: pages of web servers show minutes."""


def own_origin(fetch: Fetch) -> Origin | None:
    """Where the name of an object came from, if that is this object."""
    origin, located = fetch.origin, fetch.located
    if origin is None or located is None:
        return None
    is_own = (origin.place, origin.key) == (located.source.place, located.key)
    return origin if is_own else None


def fits_list(origin: Origin, item: Item) -> bool:
    """Whether what is here has the size and the checksums that a given list says.

    A checksum that was never verified for it is not taken as said of it.
    """
    said = {one for one in item.validators.checksums if is_supported(one)}
    return item.size in (None, origin.size) and said <= {*origin.validators.checksums}


def origin_validators(validators: Validators, item: Item) -> Validators:
    """What is kept of an object whose bytes match all that a given list says of it.

    Args:
        validators: What the source says.
        item: Its item in the list.
    """
    said = [one for one in item.validators.checksums if is_supported(one)]
    if not said:
        return validators
    return replace(validators, checksums=tuple(dict.fromkeys((*validators.checksums, *said))))


def is_same(origin: Origin, validators: Validators, size: int | None) -> bool:
    """Whether validators prove that an object is the one that a name came from."""
    if validators.version == origin.manifest.hex():  # a store lists manifests without sizes
        return True
    return sameness(origin.validators, origin.size, validators, size) is Sameness.SAME


def condition(origin: Origin, item: Item) -> Validators | None:
    """What an object must no longer have to be sent; None if nothing proves that it is the same.

    Equal times prove nothing without the size, which a condition does not have.
    """
    known = origin.validators
    changed = sameness(known, origin.size, item.validators, item.size) is Sameness.CHANGED
    return None if changed or not (known.strong_etag or known.version) else known


def may_resume(validators: Validators) -> bool:
    """Whether a source can prove that an object with these is still the same."""
    return bool(validators.if_range or validators.version)


def has_changed(listed: Validators, validators: Validators) -> bool:
    """Whether an object certainly changed since it was listed."""
    if sameness(listed, None, validators, None) is Sameness.CHANGED:
        return True
    before, after = listed.last_modified, validators.last_modified
    return before is not None and after is not None and after - before >= _LISTED_TO
