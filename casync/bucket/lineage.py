"""Which commit follows which: whether a head continues the store that a host has seen.

A bucket that was rolled back, and written to since, may have a version above that of a host's
tables. Its commits are others: each run says which commit it follows (docs/FORMAT.md section 11.4),
a merged one for each commit in it, and the head names the last commit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from casync.bucket.head import BucketHead
from casync.bucket.keys import SessionPart
from casync.bucket.run import COMMITS, TableChange, part_key
from casync.errors import MalformedError

__all__ = ["commit_change", "continues"]

_VERSION: Final = struct.Struct(">Q")


def commit_change(head: BucketHead) -> TableChange:
    """What the run of the next commit says of it.

    Args:
        head: The head that it is to replace.
    """
    return COMMITS, _VERSION.pack(head.version + 1), _key(head.commit)


def continues(head: BucketHead, before: BucketHead, changes: Iterable[TableChange]) -> bool:
    """Whether the last commit of an earlier head is in the history of a later one.

    Args:
        head: The later one.
        before: The earlier one.
        changes: The changes in all runs of the later one whose last version is above `before`'s.

    Raises:
        MalformedError: A change is malformed.
    """
    if head.commit == before.commit:
        return True
    last = before.runs[-1].last if before.runs else 0
    try:
        follows = {
            version: value
            for table, key, value in changes
            if table == COMMITS and (version := int(_VERSION.unpack(key)[0])) > last
        }
    except struct.error as error:
        raise MalformedError(f"run with a malformed commit: {error}") from error
    return bool(follows) and follows[min(follows)] == _key(before.commit)


def _key(commit: SessionPart | None) -> bytes:
    return part_key(commit) if commit is not None else b""
