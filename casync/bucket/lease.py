"""Leases of a store in a bucket: who does a piece of work that one host is enough for.

A lease saves work and protects nothing: the commits of its holder are checked like any others
(docs/FORMAT.md section 11.8).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from casync.bucket.keys import LEASES
from casync.errors import MalformedError

__all__ = [
    "COLLECTOR_LEASE",
    "LEASE_SECONDS",
    "LeaseRecord",
    "decode_lease",
    "encode_lease",
    "job_lease",
]

COLLECTOR_LEASE: Final = f"{LEASES}gc"
"""The key of the lease of the one collection that runs."""

LEASE_SECONDS: Final = 30
"""Seconds for which a lease holds without a word of its holder, who renews it three times as
often: two answers may be lost, and the work of a dead host is taken over within a minute."""

_MOST_SECONDS: Final = 3600
_MOST_BYTES: Final = 4096
_HOLDER: Final = re.compile(r"[0-9a-f]{32}")


class LeaseRecord(msgspec.Struct, frozen=True):
    """A lease.

    Attributes:
        holder: 32 random hex digits, of one holder only.
        who: Host and process of the holder, for people.
        since: When it took the lease, in seconds since 1970.
        heard: When it last renewed it.
        seconds: For how long the lease holds after that, up to an hour.
    """

    holder: str
    who: str
    since: int
    heard: int
    seconds: int

    def lives(self, now: float) -> bool:
        """Whether the holder was heard of lately, if the clocks of both hosts agree."""
        return abs(now - self.heard) <= self.seconds


_DECODER: Final = msgspec.json.Decoder(LeaseRecord)


def job_lease(ident: str) -> str:
    """The key of the lease of the runner of a job."""
    return f"{LEASES}{ident}"


def encode_lease(lease: LeaseRecord) -> bytes:
    """The bytes of a lease."""
    return msgspec.json.encode(lease)


def decode_lease(data: bytes) -> LeaseRecord:
    """Reads a lease.

    Raises:
        MalformedError: It is not a lease.
    """
    if len(data) > _MOST_BYTES:
        raise MalformedError(f"not a lease: {len(data)} bytes")
    try:
        lease = _DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"not a lease: {error}") from error
    if not _HOLDER.fullmatch(lease.holder) or not 1 <= lease.seconds <= _MOST_SECONDS:
        raise MalformedError("not a lease: an impossible holder or term")
    return lease
