"""Translates errors of sockets and TLS, as httpcore raises them, to casync's."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

import httpcore

from casync.errors import CasyncError, RemoteError, UnreachableError
from casync.fs.paths import StrPath

__all__ = ["network_error"]

_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_NOT_SIGNED: Final = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_… of OpenSSL: no path to a trusted authority, another host name or address."""


def network_error(
    origin: str, error: Exception, *, proxy: str = "", ca: StrPath | None = None
) -> CasyncError:
    """The error for a failure of the network.

    Args:
        origin: The server.
        error: What httpcore raised.
        proxy: The proxy that connections are made to, if any.
        ca: The file of trusted authorities, if not those of the system.
    """
    cause = error.args[0] if error.args else None  # httpcore wraps what it caught
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _untrusted(origin, cause, ca)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        step = ""
        if cause.reason == "WRONG_VERSION_NUMBER":  # how OpenSSL calls bytes that are not TLS
            step = f"Try http://{origin.partition('://')[2]}."
        return RemoteError(
            f"{origin} does not speak TLS as expected: {cause.reason}", next_step=step
        )
    place = f"the proxy {proxy}" if proxy else origin
    if isinstance(error, httpcore.ConnectTimeout):
        return UnreachableError(f"{place} does not answer")
    reason = getattr(cause, "strerror", None) or str(error)
    if isinstance(error, httpcore.ConnectError):
        if isinstance(cause, socket.gaierror):
            reason = f"unknown host: {reason}"
        step = "Check the address, and that the server is running."
        return UnreachableError(
            f"cannot connect to {place}: {reason}",
            next_step="Check --proxy, and that the proxy is running." if proxy else step,
            refused=getattr(cause, "errno", None) == errno.ECONNREFUSED,
        )
    return UnreachableError(f"the connection to {origin} broke: {reason}")


def _untrusted(origin: str, cause: ssl.SSLCertVerificationError, ca: StrPath | None) -> RemoteError:
    """Says what is wrong with a certificate; another authority helps only if none signed it."""
    why = cause.verify_message
    if cause.verify_code in _OTHER_NAME:
        return RemoteError(
            f"the certificate of {origin} is for another host: {why}",
            next_step="Use a name that the certificate lists (subjectAltName), or make one that "
            "lists this name or address.",
        )
    if cause.verify_code in (_EXPIRED, _NOT_YET_VALID):
        end = "has expired" if cause.verify_code == _EXPIRED else "is not valid yet"
        return RemoteError(
            f"the certificate of {origin} {end}",
            next_step="Renew it on the server; if it is good, set the clock of this machine.",
        )
    message = f"the certificate of {origin} cannot be trusted: {why}"
    if cause.verify_code not in _NOT_SIGNED:
        return RemoteError(message, next_step="Make a certificate without this fault.")
    if ca is None:
        return RemoteError(message, next_step="Give its authority with --ca FILE.")
    return RemoteError(
        f"no authority in {ca} signed the certificate of {origin}: {why}",
        next_step="Give the file of the authority that did with --ca FILE.",
    )
