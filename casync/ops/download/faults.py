"""What the errors of an object mean for it and for its job."""

from __future__ import annotations

from typing import Final

from casync.errors import (
    CasyncError,
    DeniedError,
    DigestMismatchError,
    NotFoundError,
    RemoteError,
    SourceChangedError,
    StoppedError,
    UnreachableError,
    UsageError,
)
from casync.jobs.backoff import is_temporary
from casync.jobs.fault import ObjectFaultKind, status_text

__all__ = ["concerns_object", "describe", "is_final", "is_mismatch", "kind_of"]

_FORBIDDEN: Final = 403

_FINAL: Final = frozenset({ObjectFaultKind.POLICY, ObjectFaultKind.NAME})

_OF_OBJECTS: Final = (
    DeniedError,
    DigestMismatchError,
    NotFoundError,
    RemoteError,
    SourceChangedError,
    UsageError,
)


def concerns_object(error: CasyncError) -> bool:
    """Whether only this object failed. Other errors, as those of the store, end the run."""
    if isinstance(error, StoppedError):
        return False
    return bool(error.fault) or isinstance(error, _OF_OBJECTS)


def kind_of(error: CasyncError) -> ObjectFaultKind:
    """What went wrong."""
    if error.fault:
        return ObjectFaultKind(error.fault)
    match error:
        case DigestMismatchError():
            return ObjectFaultKind.CHECKSUM
        case SourceChangedError():
            return ObjectFaultKind.CHANGED
        case UnreachableError():
            return ObjectFaultKind.CONNECT
        case UsageError():
            return ObjectFaultKind.STORE
        case _:
            return ObjectFaultKind.HTTP


def is_mismatch(error: CasyncError) -> bool:
    """Whether the object is another one than was announced."""
    return isinstance(error, DigestMismatchError) or kind_of(error) is ObjectFaultKind.CHECKSUM


def is_final(error: CasyncError, *, opened: bool) -> bool:
    """Whether another attempt is of no use.

    Args:
        error: Why the last one failed.
        opened: Whether the object could be opened before. Then a refusal may concern a presigned
            address that a redirect led to, and that is made anew by the next attempt.
    """
    status = error.status
    if status == _FORBIDDEN and opened:
        return False
    if status >= 400:
        return not is_temporary(status)
    kind = kind_of(error)
    if kind in _FINAL:
        return True
    if isinstance(error, RemoteError):  # an answer that came, and is of no use
        return not isinstance(error, UnreachableError) and kind is not ObjectFaultKind.TLS
    return isinstance(error, DeniedError | NotFoundError | UsageError)


def describe(error: CasyncError, host: str) -> str:
    """One line about an error, for people.

    Args:
        error: Why an object failed.
        host: The host that it came from; empty for a file of this machine.
    """
    if host and kind_of(error) is ObjectFaultKind.HTTP and error.status >= 400:
        return status_text(error.status)
    return error.message.encode("utf-8", "backslashreplace").decode()
