"""TLS settings of connections to one server."""

from __future__ import annotations

import ssl

from casync.errors import UsageError
from casync.fs.paths import StrPath

__all__ = ["make_tls"]


def make_tls(ca: StrPath | None, *, insecure: bool) -> ssl.SSLContext:
    """The settings.

    Args:
        ca: PEM file of trusted authorities; None for those of the system.
        insecure: Do not check certificates.

    Raises:
        UsageError: The authorities cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(f"cannot read the authorities in {ca}: {error}") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
