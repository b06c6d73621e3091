"""TLS of a server: certificates from files, and from files again when somebody has renewed them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from casync.errors import UsageError
from casync_server.options import ServeOptions

__all__ = ["TlsFiles", "make_context", "renew", "tls_files"]


class TlsFiles(NamedTuple):
    """PEM files.

    Attributes:
        cert: The certificate, with those that lead from it to an authority.
        key: Its key, without a password.
        client_ca: Authorities of the clients that are let in; None: clients need no certificate.
    """

    cert: Path
    key: Path
    client_ca: Path | None


def tls_files(options: ServeOptions) -> TlsFiles | None:
    """The files that `options` name; None for plain HTTP."""
    if options.tls_cert is None or options.tls_key is None:
        return None
    return TlsFiles(options.tls_cert, options.tls_key, options.client_ca)


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """What connections are encrypted with, TLS 1.2 or later.

    Raises:
        UsageError: A file cannot be read, or they do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, files)
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise _unusable(files.client_ca, error) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def renew(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Has new connections see the certificate that the files hold now.

    Raises:
        UsageError: They cannot be used. Connections go on seeing what they saw.
    """
    make_context(files)  # a pair that does not fit would leave half of it in the real one
    _load(context, files)


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    try:
        # Without a function OpenSSL would ask for a password on the terminal.
        context.load_cert_chain(files.cert, files.key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise _unusable(f"{files.cert} with {files.key}", error) from error


def _unusable(what: object, error: OSError) -> UsageError:
    return UsageError(f"cannot use {what} for TLS: {error.strerror or error}")
