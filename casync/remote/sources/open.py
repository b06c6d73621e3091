"""Opens buckets by address, with the one table of schemes.

An adapter and its library are loaded when one of its addresses is opened.
"""

from __future__ import annotations

import importlib
import re
from typing import Final, NamedTuple

from casync.errors import UsageError
from casync.remote.sources.base import RemoteSource, SourceOptions

__all__ = ["is_address", "open_source"]


class _Scheme(NamedTuple):
    """One scheme.

    Attributes:
        form: The form of its addresses, for messages.
        name: What may stand between `://` and the next slash.
        adapter: Module and class of its `RemoteSource`, which takes that name and `SourceOptions`.
    """

    form: str
    name: re.Pattern[str]
    adapter: tuple[str, str]


_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.-]*)://")
_S3_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_SCHEMES: Final = {
    "s3": _Scheme(
        "s3://BUCKET/PREFIX", _S3_NAME, ("casync.remote.sources.obstore_bucket", "S3Bucket")
    ),
}


def is_address(text: str) -> bool:
    """Whether a text is an address, and not a path.

    Raises:
        UsageError: It is one whose scheme is not supported.
    """
    if not (found := _ADDRESS.match(text)):
        return False
    if found[1] not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise UsageError(f"{found[1]}:// is not supported; {known} is")
    return True


def open_source(address: str, options: SourceOptions = SourceOptions()) -> tuple[RemoteSource, str]:
    """Opens the bucket of an address. No request is made yet.

    Args:
        address: `SCHEME://BUCKET`, optionally with a slash and a key or prefix.
        options: How to reach the bucket.

    Returns:
        The bucket, and the key or prefix; empty for the whole bucket.

    Raises:
        UsageError: The address is invalid or its scheme unknown, or the options do not fit.
        CasyncError: The bucket's adapter cannot be set up.
    """
    scheme, _, rest = address.partition("://")
    row = _SCHEMES[scheme] if is_address(address) else None
    name, _, key = rest.partition("/")
    if row is None or not row.name.fullmatch(name):
        forms = [row.form] if row else [scheme.form for scheme in _SCHEMES.values()]
        raise UsageError(
            f"{address} is not the address of a bucket", next_step=f"Write {' or '.join(forms)}."
        )
    module, adapter = row.adapter
    bucket: RemoteSource = getattr(importlib.import_module(module), adapter)(name, options)
    return bucket, key
