"""Every error that casync raises on purpose, as one tree.

Grouped by what a handler does about it, not by where it arose::

    CasyncError                      error                 exit 1
    ├── UsageError                   usage                 exit 2    a caller's mistake
    ├── SourceChangedError           source-changed        exit 3    the input changed
    ├── PartialError                 partial               exit 3    part is done; run it again
    ├── IntegrityError               integrity             exit 4    wrong bytes
    │   ├── DamagedObjectError       damaged-object                  one object of a store
    │   ├── DamagedStoreError        damaged-store                   a store that cannot open
    │   ├── MalformedError           malformed                       bytes that break a format
    │   ├── DigestMismatchError      digest-mismatch                 not the expected content
    │   └── UntrustedError           untrusted                       not signed by a trusted key
    ├── RemoteError                  remote                exit 5    a server refused or failed
    │   ├── UnreachableError         unreachable                     no answer; retry
    │   ├── LoopError                loop                            servers ask each other
    │   └── RemoteProtocolError      remote-protocol                 an answer breaks the protocol
    ├── NoSpaceError                 no-space              exit 6
    │   └── QuotaError               quota                           the store's quota is reached
    ├── LockedError                  locked                exit 7    another process has it
    │   └── LostRaceError            lost-race                       another writer was faster
    ├── DeniedError                  denied                exit 8    authentication or authorisation
    ├── NotFoundError                not-found             exit 9
    │   ├── NoStoreError             no-store
    │   ├── NoNameError              no-name
    │   └── NoObjectError            no-object
    │       └── IncompleteError      incomplete                      objects below it are missing
    ├── UnsupportedError             unsupported           exit 10   newer than this program
    │   └── UnsafeStorageError       unsafe-storage                  writers would lose data there
    ├── StoppedError                 stopped               exit 11   asked to stop
    ├── TimedOutError                timed-out             exit 124
    └── WriteError                   write                 exit 1    a path cannot be written

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
    "LoopError",
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
    "UnsafeStorageError",
    "UnsupportedError",
    "UntrustedError",
    "UsageError",
    "WriteError",
]


class CasyncError(Exception):
    """Root of the tree.

    Args:
        message: One line: what happened, to which object or path, why. Untrusted text in it is
            escaped where it is shown, not here.
        next_step: One sentence that says what to do, or empty.

    Attributes:
        fault: What went wrong at a source (`casync.jobs.fault.ObjectFaultKind`), or empty.
        status: The HTTP status of a source's refusal, or 0.
    """

    code: ClassVar[str] = "error"
    fault: str = ""
    status: int = 0

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    @staticmethod
    def of_code(code: str) -> type[CasyncError] | None:
        """The class of errors with this code; None if there is none."""
        classes: list[type[CasyncError]] = [CasyncError]
        for each in classes:
            if each.code == code:
                return each
            classes.extend(each.__subclasses__())
        return None


class UsageError(CasyncError):
    """The caller asked for something invalid."""

    code = "usage"


class SourceChangedError(CasyncError):
    """The input changed, shrank or vanished while it was read."""

    code = "source-changed"


class PartialError(CasyncError):
    """Part of the work is done and kept; running it again does the rest."""

    code = "partial"


class IntegrityError(CasyncError):
    """Bytes are not what they should be."""

    code = "integrity"


class DamagedObjectError(IntegrityError):
    """One object is present but its bytes are damaged.

    Args:
        message: As of every error.
        next_step: As of every error.
        where: The store or server that the message names; empty if it names none.
    """

    code = "damaged-object"

    def __init__(self, message: str, *, next_step: str = "", where: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.where = where


class DamagedStoreError(IntegrityError):
    """The store's file cannot be opened or walked."""

    code = "damaged-store"


class MalformedError(IntegrityError):
    """Bytes break their format."""

    code = "malformed"


class DigestMismatchError(IntegrityError):
    """The content is sound but not the expected one."""

    code = "digest-mismatch"


class UntrustedError(IntegrityError):
    """No trusted key signed what a name points to, or the signature has expired."""

    code = "untrusted"


class RemoteError(CasyncError):
    """A server refused or failed."""

    code = "remote"


class UnreachableError(RemoteError):
    """No usable answer: refused, reset, stalled, overloaded. A retry may help."""

    code = "unreachable"

    def __init__(
        self, message: str, *, next_step: str = "", retry_after: float = 0.0, refused: bool = False
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.retry_after = retry_after  # seconds that the server asked for
        self.refused = refused  # nothing listens there, so a try costs next to nothing


class LoopError(RemoteError):
    """Servers ask each other in a circle for what they lack."""

    code = "loop"


class RemoteProtocolError(RemoteError):
    """The server's answer breaks the protocol."""

    code = "remote-protocol"


class NoSpaceError(CasyncError):
    """A disk or a quota is full."""

    code = "no-space"


class QuotaError(NoSpaceError):
    """A store has reached its quota."""

    code = "quota"


class LockedError(CasyncError):
    """Another process holds what is needed, or was faster."""

    code = "locked"


class LostRaceError(LockedError):
    """The version that an update was based on is no longer the newest."""

    code = "lost-race"


class DeniedError(CasyncError):
    """Not authenticated or not allowed."""

    code = "denied"


class NotFoundError(CasyncError):
    """The requested thing is not here."""

    code = "not-found"


class NoStoreError(NotFoundError):
    """There is no store at the path."""

    code = "no-store"


class NoNameError(NotFoundError):
    """No manifest matches a name, a version of it, or a prefix."""

    code = "no-name"


class NoObjectError(NotFoundError):
    """An object is missing."""

    code = "no-object"


class IncompleteError(NoObjectError):
    """A manifest cannot be published or named, because objects below it are missing.

    Args:
        message: As of every error.
        next_step: As of every error.
        missing: Kind and id of missing objects; not always all of them.
    """

    code = "incomplete"

    def __init__(
        self, message: str, *, next_step: str = "", missing: Sequence[tuple[int, bytes]] = ()
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.missing = list(missing)


class UnsupportedError(CasyncError):
    """A format, version or library that this program does not support."""

    code = "unsupported"


class UnsafeStorageError(UnsupportedError):
    """An object storage where two writers can both be told that they were the only one."""

    code = "unsafe-storage"


class StoppedError(CasyncError):
    """The user or the system asked for a stop."""

    code = "stopped"


class TimedOutError(CasyncError):
    """A deadline passed."""

    code = "timed-out"


class WriteError(CasyncError):
    """A local target cannot be written: it is a folder, read-only or a dangling link."""

    code = "write"
