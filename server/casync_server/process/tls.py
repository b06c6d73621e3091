"""TLS of a server: loads certificates from files, and reloads renewed ones."""

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
        cert: The certificate, followed by its chain.
        key: The private key, unencrypted.
        client_ca: CA certificates for clients; None if clients need no certificate.
    """

    cert: Path
    key: Path
    client_ca: Path | None


def tls_files(options: ServeOptions) -> TlsFiles | None:
    """The files in `options`; None for plain HTTP."""
    if options.tls_cert is None or options.tls_key is None:
        return None
    return TlsFiles(options.tls_cert, options.tls_key, options.client_ca)


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """Makes a context for TLS 1.2 or later.

    Raises:
        UsageError: A file cannot be read, or key and certificate do not match.
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
    """Loads the files again; new connections get the new certificate.

    Raises:
        UsageError: The files cannot be used. The old certificate stays in use.
    """
    make_context(files)  # tested first: a pair that does not match would be loaded by half
    _load(context, files)


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    try:
        # Without the function, OpenSSL would prompt for a password on the terminal.
        context.load_cert_chain(files.cert, files.key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise _unusable(f"{files.cert} with {files.key}", error) from error


def _unusable(what: object, error: OSError) -> UsageError:
    return UsageError(f"cannot use {what} for TLS: {error.strerror or error}")
