"""Every error that casync raises on purpose, as one tree.

Grouped by what a handler does about it, not by where it arose::

    CasyncError                      error                 exit 1
    ├── UsageError                   usage                 exit 2    our caller's misuse
    ├── SourceChangedError           source-changed        exit 3    the input moved under us
    ├── PartialError                 partial               exit 3    some is done; run it again
    ├── IntegrityError               integrity             exit 4    wrong bytes
    │   ├── DamagedObjectError       damaged-object                  one object of a store
    │   ├── DamagedStoreError        damaged-store                   a store that cannot be opened
    │   ├── MalformedError           malformed                       bytes that break a format
    │   ├── DigestMismatchError      digest-mismatch                 not what was expected
    │   └── UntrustedError           untrusted                       not what a trusted key signed
    ├── RemoteError                  remote                exit 5    a server said no, or nonsense
    │   ├── UnreachableError         unreachable                     no answer; worth another try
    │   └── RemoteProtocolError      remote-protocol                 an answer against the protocol
    ├── NoSpaceError                 no-space              exit 6
    │   └── QuotaError               quota                           more than may be kept
    ├── LockedError                  locked                exit 7    somebody else holds it
    │   └── LostRaceError            lost-race                       somebody else was faster
    ├── DeniedError                  denied                exit 8    authentication or authorisation
    ├── NotFoundError                not-found             exit 9
    │   ├── NoStoreError             no-store
    │   ├── NoNameError              no-name
    │   └── NoObjectError            no-object
    │       └── IncompleteError      incomplete                      a manifest that is not whole
    ├── UnsupportedError             unsupported           exit 10   newer than this program
    ├── StoppedError                 stopped               exit 11   we were asked to stop
    ├── TimedOutError                timed-out             exit 124
    └── WriteError                   write                 exit 1    a place that cannot be written

`code` is stable and append-only: exit statuses (`casync_cli.exit_codes`) and HTTP statuses
(`casync_server.problems`) are two tables over it at the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "CasyncError",
    "DamagedObjectError",
    "DamagedStoreError",
    "DeniedError",
    "DigestMismatchError",
    "IncompleteError",
    "IntegrityError",
    "LockedError",
    "LostRaceError",
    "MalformedError",
    "NoNameError",
    "NoObjectError",
    "NoSpaceError",
    "NoStoreError",
    "NotFoundError",
    "PartialError",
    "QuotaError",
    "RemoteError",
    "RemoteProtocolError",
    "SourceChangedError",
    "StoppedError",
    "TimedOutError",
    "UnreachableError",
    "UnsupportedError",
    "UntrustedError",
    "UsageError",
    "WriteError",
]


class CasyncError(Exception):
    """Root of the tree.

    Args:
        message: One line: what, which object or path, why. Untrusted text in it is escaped where
            it is shown, not here.
        next_step: One sentence that tells the user what to do, or empty.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(CasyncError):
    """The caller asked for something that makes no sense."""

    code = "usage"


class SourceChangedError(CasyncError):
    """The input changed, shrank or vanished while it was read."""

    code = "source-changed"


class PartialError(CasyncError):
    """Some of the work is done and stays; the rest is done by running it again."""

    code = "partial"


class IntegrityError(CasyncError):
    """Bytes are not what they must be."""

    code = "integrity"


class DamagedObjectError(IntegrityError):
    """One object is present but its bytes are damaged."""

    code = "damaged-object"


class DamagedStoreError(IntegrityError):
    """The store's file cannot be opened or walked."""

    code = "damaged-store"


class MalformedError(IntegrityError):
    """Bytes break the format that they claim to have."""

    code = "malformed"


class DigestMismatchError(IntegrityError):
    """The content is sound but not the one that was expected."""

    code = "digest-mismatch"


class UntrustedError(IntegrityError):
    """What a name points to is not what a trusted key says, or not any more."""

    code = "untrusted"


class RemoteError(CasyncError):
    """A server refused or failed."""

    code = "remote"


class UnreachableError(RemoteError):
    """No usable answer: refused, reset, stalled, overloaded. Worth another try."""

    code = "unreachable"

    def __init__(self, message: str, *, next_step: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, next_step=next_step)
        self.retry_after = retry_after  # seconds that the server asked us to wait


class RemoteProtocolError(RemoteError):
    """The server's answer breaks the protocol."""

    code = "remote-protocol"


class NoSpaceError(CasyncError):
    """A disk or a quota is full."""

    code = "no-space"


class QuotaError(NoSpaceError):
    """A store holds as much as it may."""

    code = "quota"


class LockedError(CasyncError):
    """Somebody else holds what we need, or was faster."""

    code = "locked"


class LostRaceError(LockedError):
    """What we wanted to move on from is not the newest any more."""

    code = "lost-race"


class DeniedError(CasyncError):
    """Not authenticated or not allowed."""

    code = "denied"


class NotFoundError(CasyncError):
    """What was asked for is not here."""

    code = "not-found"


class NoStoreError(NotFoundError):
    """There is no store at the path."""

    code = "no-store"


class NoNameError(NotFoundError):
    """No manifest answers to a name, a version of it, or a prefix."""

    code = "no-name"


class NoObjectError(NotFoundError):
    """An object is missing."""

    code = "no-object"


class IncompleteError(NoObjectError):
    """A manifest is to be listed or named, and not all below it is here.

    Args:
        message: As of every error.
        next_step: Likewise.
        missing: Kind and id of objects that are missing, not always all of them.
    """

    code = "incomplete"

    def __init__(
        self, message: str, *, next_step: str = "", missing: Sequence[tuple[int, bytes]] = ()
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.missing = list(missing)


class UnsupportedError(CasyncError):
    """A format, version or library that this program does not handle."""

    code = "unsupported"


class StoppedError(CasyncError):
    """Somebody asked us to stop."""

    code = "stopped"


class TimedOutError(CasyncError):
    """A deadline passed."""

    code = "timed-out"


class WriteError(CasyncError):
    """A local place cannot be written: a folder, read-only, a dangling link."""

    code = "write"
