"""Translates errors of obstore into casync's own."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from casync.errors import (
    CasyncError,
    DeniedError,
    MalformedError,
    NotFoundError,
    RemoteError,
    SourceChangedError,
    UnreachableError,
    UsageError,
)
from casync.jobs.fault import ObjectFaultKind
from casync.remote.sources.base import failed
from casync.remote.sources.obstore_stores import Cloud

__all__ = ["asking", "is_about_the_bucket", "is_before_contact", "loss_of", "status_of"]

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([^<]*)</Code>|\(code: (\w+)\)")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
_CAUSE: Final = re.compile(r'(?:error|message): "([^"]*)"')
"""The innermost cause in the details of an error of the network."""

_DENIED: Final = frozenset({"AccessDenied", "ExpiredToken", "InvalidToken"})
_NO_USER: Final = frozenset({"XAdminUserNotFound"})
"""What versitygw calls an unknown key, with 404."""

_NO_BUCKET: Final = frozenset({"NoSuchBucket", "ContainerNotFound"})
"""Codes of servers."""

_NO_BUCKET_STEP: Final = "Check its name, or make it with the tools of your storage."
_BUSY: Final = frozenset({408, 425, 429})
"""Statuses below 500 of servers that may answer later."""

_NETWORK: Final = "HttpError {"
_CONNECTING: Final = re.compile(r"\bConnect,")
_REFUSED: Final = "ConnectionRefused"
_BAD_CERTIFICATE: Final = re.compile(r"InvalidCertificate\(\s*(\w+)")
_NO_TLS: Final = "InvalidContentType"
_SIGNS: Final = {
    ObjectFaultKind.DNS: "dns error",
    ObjectFaultKind.TIMEOUT: "kind: Timeout",
    ObjectFaultKind.TLS: "InvalidCertificate",
}
"""Words in those details."""

_NO_ACCOUNT: Final = "Account must be specified"
_ROLE_ADDRESSES: Final = ("169.254.169.254", "metadata.google.internal")
"""Where the library asks for the machine's role if it finds no other credentials."""


def status_of(error: Exception) -> int:
    """The HTTP status of the answer that an error is about, or 0."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0


def is_about_the_bucket(error: FileNotFoundError) -> bool:
    """Whether not only an object is missing, but its bucket, or the user who asks."""
    return _code(str(error)) in _NO_BUCKET | _NO_USER


def is_before_contact(error: Exception) -> bool:
    """Whether there was no connection."""
    return _CONNECTING.search(str(error)) is not None


def loss_of(error: Exception, bucket: str, cloud: Cloud) -> UnreachableError | None:
    """What an error says of its server, if that may answer when it is asked again."""
    found = _translated(error, bucket, bucket, cloud, "reach")
    return found if isinstance(found, UnreachableError) else None


@contextmanager
def asking(label: str, bucket: str, cloud: Cloud, verb: str = "read") -> Iterator[None]:
    """Translates errors of requests.

    Args:
        label: What they are for.
        bucket: The bucket.
        cloud: Its cloud.
        verb: What they do with it.
    """
    try:
        yield
    except PreconditionError as error:
        changed = SourceChangedError(f"{label} changed while it was read")
        raise failed(changed, ObjectFaultKind.CHANGED) from error
    except InvalidPathError as error:
        raise MalformedError(_first_line(error)) from error
    except FileNotFoundError as error:
        if _code(str(error)) in _NO_USER:
            raise _translated(error, label, bucket, cloud, verb) from error
        missing = NotFoundError(f"there is no object {label}")
        if is_about_the_bucket(error):
            missing = NotFoundError(f"there is no bucket {bucket}", next_step=_NO_BUCKET_STEP)
        raise failed(missing, ObjectFaultKind.HTTP, 404) from error
    except ValueError as error:
        wrong = UsageError(f"cannot request {label}: {_first_line(error)}")
        raise failed(wrong, ObjectFaultKind.NAME) from error
    except (BaseError, OSError) as error:
        raise _translated(error, label, bucket, cloud, verb) from error


def _translated(error: Exception, label: str, bucket: str, cloud: Cloud, verb: str) -> CasyncError:
    text = str(error)
    status = status_of(error)
    kind = ObjectFaultKind.HTTP if status else _network_fault(text)
    if any(address in text for address in _ROLE_ADDRESSES):
        denied = DeniedError(f"there are no credentials for {label}", next_step=cloud.credentials)
        return failed(denied, ObjectFaultKind.HTTP)
    if status == 416:  # the range is gone, and the server ignores If-Match
        shrank = SourceChangedError(f"{label} shrank while it was read")
        return failed(shrank, ObjectFaultKind.CHANGED)
    if _NO_ACCOUNT in text:
        return UsageError(
            f"{label} needs the name of its account", next_step="Set AZURE_STORAGE_ACCOUNT."
        )
    reason = _reason(text, status)
    found: CasyncError
    is_denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    code = _code(text)
    if (
        is_denied
        or status in (401, 403)
        or code in _NO_USER
        or (status in (0, 400) and code in _DENIED)
    ):
        found = DeniedError(f"may not {verb} {label}: {reason}", next_step=cloud.credentials)
    elif status == 404:
        found = NotFoundError(f"there is no bucket {bucket}: {reason}", next_step=_NO_BUCKET_STEP)
    elif found_tls := _tls_error(text, label, cloud):
        found = found_tls
    elif (300 <= status < 500 and status not in _BUSY) or status == 501:
        found = RemoteError(f"cannot {verb} {label}: {reason}", next_step=cloud.settings)
    elif not status and _NETWORK not in text:
        found = RemoteError(f"cannot {verb} {label}: {reason}")
    else:
        step = "" if status else f"Check that its server runs. {cloud.settings}"
        refused = _REFUSED in text
        found = UnreachableError(f"cannot reach {label}: {reason}", next_step=step, refused=refused)
    return failed(found, kind, status)


def _tls_error(text: str, label: str, cloud: Cloud) -> RemoteError | None:
    """The error for a certificate that is not trusted, or for a server without TLS."""
    if _NO_TLS in text:
        return RemoteError(
            f"the server of {label} does not speak TLS", next_step="Try an http:// endpoint."
        )
    if certificate := _BAD_CERTIFICATE.search(text):
        return RemoteError(
            f"the certificate of the server of {label} is not trusted: {certificate[1]}",
            next_step=cloud.authority,
        )
    return None


def _network_fault(text: str) -> ObjectFaultKind:
    """What went wrong before there was an answer, from the text of the library's error."""
    for kind, sign in _SIGNS.items():
        if sign in text:
            return kind
    return ObjectFaultKind.CONNECT


def _reason(text: str, status: int) -> str:
    """The reason that the server gives, or else the library."""
    message = _MESSAGE.search(text)
    found = [_code(text), html.unescape(message[1]) if message else ""]
    if any(found):
        return ": ".join(filter(None, found))
    if status:
        return f"it answers {status}"
    if _network_fault(text) is ObjectFaultKind.TIMEOUT:
        return "it does not answer in time"
    cause = _CAUSE.search(text)
    if cause is None:
        return text.splitlines()[0].rpartition(" - ")[2]
    return f"unknown host: {cause[1]}" if _SIGNS[ObjectFaultKind.DNS] in text else cause[1]


def _code(text: str) -> str:
    """The server's code, such as `NoSuchBucket`, or empty."""
    found = _CODE.search(text)
    return (found[1] or found[2]) if found else ""


def _first_line(error: Exception) -> str:
    return str(error).partition("\n\nDebug source")[0]
