"""Addresses of sources: `SCHEME://…`, local paths, and what may be shown of them.

An address is never decoded and encoded again: the query of a presigned URL breaks when one byte of
it is written differently.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from casync.errors import UsageError

__all__ = ["Address", "identity", "parse_address", "redacted", "split_query"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST: Final = re.compile(
    r"(?:localhost|(?:[A-Za-z0-9_-]+\.)+[A-Za-z][A-Za-z0-9-]+|\d{1,3}(?:\.\d{1,3}){3}"
    r"|[A-Za-z0-9_.-]+:\d{1,5}|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?)",
    re.ASCII,
)
_CLOUDS: Final = frozenset({"s3", "aws", "gs", "gcp", "az", "azure"})
_CASYNC: Final = frozenset({"casync", "casync+http", "casync+https"})
_WEB: Final = frozenset({"http", "https"})
"""Schemes whose addresses may hold a password."""

_WITH_USER: Final = frozenset({"webhdfs", "swebhdfs"})
"""Schemes whose addresses may hold a user, and no password."""

_PLAIN: Final = _CLOUDS | {"hdfs", "file"}
"""Schemes of addresses that never carry a query: a `?` belongs to a key."""
_KEYED: Final = _PLAIN | _CASYNC | {"webhdfs", "swebhdfs"}
"""Schemes whose addresses have no query: `?` and `#` are characters of a key."""

_SIGNATURES: Final = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
_SIGNED: Final = re.compile(
    r"x-amz-(?!version).*|x-goog-(?!generation).*|signature|sig|expires|awsaccesskeyid"
    r"|googleaccessid|key-pair-id|policy|s[vetpr]|sip|spr|ss|srt|sk[tesv]|skoid|sktid|sdd|ses"
)
"""Parameters of presigned URLs of AWS, CloudFront, Google and Azure, in lower case."""

_QUERY: Final = re.compile("[?#]")
_DELIMITER: Final = re.compile("[/?#]")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:@\[\]]*)(?::([0-9]{1,5}))?")
_HIDDEN: Final = "***"


class Address(NamedTuple):
    """The address of a source. Both parts together are the text as the user wrote it.

    Attributes:
        scheme: The scheme in lower case; empty for a local path.
        rest: What follows `://`, or the path.
    """

    scheme: str
    rest: str

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return self.scheme in ("", "file")

    @property
    def has_query(self) -> bool:
        """Whether it is a URL: `?` begins a query, and its path is percent-encoded."""
        return bool(self.scheme) and self.scheme not in _KEYED

    @property
    def names_manifests(self) -> bool:
        """Whether it leads to a casync server, where an `@` begins a version."""
        return self.scheme in _CASYNC

    def __str__(self) -> str:
        """The address in full, with its secrets."""
        return f"{self.scheme}://{self.rest}" if self.scheme else self.rest


def parse_address(text: str) -> Address:
    """Reads the address of a source.

    A text without a scheme is a local path if it begins with `/` or `.`. Any other is an `https`
    address if what precedes its first slash looks like a host: a domain with a dot, an IP address,
    `localhost`, or anything with a port.

    A password with `/`, `?` or `#` would be taken for another part of the address, and shown. So an
    address that may hold one is refused. One is not found out: that which begins like a port, after
    a user with a dot.

    Raises:
        UsageError: It is neither, or what precedes an `@` may be a password.
    """
    if not text or "\0" in text or "\n" in text or "\r" in text:
        raise UsageError("the address of a source is empty or has a line break")
    if found := _SCHEME.match(text):
        rest = text[found.end() :]
        if not rest:
            raise UsageError(
                f"{text} names no object",
                next_step="Write the address of an object, or of a folder with a / at its end.",
            )
        address = Address(found[1].lower(), rest)
        _refuse_split_password(address)
        return address
    if text[0] in "/.":
        return Address("", text)
    host, slash, _ = text.partition("/")
    if slash and _HOST.fullmatch(host.rpartition("@")[2]):
        _refuse_split_password(Address("https", text))
        return Address("https", text)
    raise UsageError(
        f"{redacted(text)} is neither a URL nor a path",
        next_step="Write SCHEME://…, or begin a local path with / or ./.",
    )


def redacted(text: str) -> str:
    """An address for people: without user, password, values of its query, and fragment."""
    found = _SCHEME.match(text)
    scheme, rest = (text[: found.end()], text[found.end() :]) if found else ("", text)
    if not scheme and rest[:1] in ("/", "."):
        return text
    if _may_split_password(found[1].lower() if found else "https", rest):
        return f"{scheme}{_HIDDEN}@{_QUERY.split(rest.rpartition('@')[2], maxsplit=1)[0]}"
    queried = found is None or found[1].lower() not in _PLAIN
    authority, path, query, fragment = _split(rest, queried=queried)
    _, at, host = authority.rpartition("@")
    if at:
        authority = f"{_HIDDEN}@{host}"
    if query:
        query = "?" + "&".join(_hidden(field) for field in query[1:].split("&"))
    return f"{scheme}{authority}{path}{query}{'#' + _HIDDEN if fragment else ''}"


def identity(address: Address) -> str:
    """The address without what may differ between two ways to reach the same objects.

    That is user and password, the signature of a presigned URL, and the fragment. It is compared,
    never requested.
    """
    authority, path, query, _ = _split(address.rest, queried=address.has_query)
    if not address.is_local:
        authority = authority.rpartition("@")[2]
    fields = query[1:].split("&") if query else []
    names = [field.partition("=")[0].lower() for field in fields]
    if _SIGNATURES & set(names):
        pairs = zip(fields, names, strict=True)
        fields = [field for field, name in pairs if not _SIGNED.fullmatch(name)]
    return f"{address.scheme}://{authority}{path}{'?' if fields else ''}{'&'.join(fields)}"


def split_query(address: Address) -> tuple[str, str]:
    """What follows `://` up to the query, and the query with its `?` and what follows it."""
    if not address.has_query:
        return address.rest, ""
    found = _QUERY.search(address.rest)
    at = found.start() if found else len(address.rest)
    return address.rest[:at], address.rest[at:]


def _refuse_split_password(address: Address) -> None:
    if _may_split_password(address.scheme, address.rest):
        raise UsageError(
            f"it is not clear where the password in {redacted(str(address))} ends",
            next_step="Write the characters / ? # @ of a user or a password as %2F %3F %23 %40, "
            "and an @ behind the host as %40.",
        )


def _may_split_password(scheme: str, rest: str) -> bool:
    """Whether a password with a delimiter may reach from the authority into what follows it."""
    found = None if scheme == "file" else _DELIMITER.search(rest)
    if found is None or "@" not in rest[found.start() :]:
        return False
    authority = rest[: found.start()]
    user, at, _ = authority.rpartition("@")
    if at:
        is_user = user == _HIDDEN or (scheme in _WITH_USER and ":" not in user)
        return not is_user
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        return True
    host, port = parts.groups()
    is_host = "." in host or host == "localhost" or host.startswith("[") or scheme not in _WEB
    return port is not None and not is_host


def _split(rest: str, *, queried: bool) -> tuple[str, str, str, str]:
    """Authority, path, query with its `?` and fragment with its `#`."""
    fragment = query = ""
    if queried:
        rest, mark, tail = rest.partition("#")
        fragment = mark + tail
        rest, mark, tail = rest.partition("?")
        query = mark + tail
    authority, slash, path = rest.partition("/")
    return authority, slash + path, query, fragment


def _hidden(field: str) -> str:
    name, equals, _ = field.partition("=")
    return f"{name}={_HIDDEN}" if equals else _HIDDEN
