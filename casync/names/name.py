"""Names and refs: what users type to select a manifest, or a path inside it.

A name is a path-like label (`ubuntu/24.04`). A ref is a full hash, a local hash prefix or a name.
`NAME@N` selects the N-th version of a name, and `:PATH` a path inside the manifest.
"""

from __future__ import annotations

import re
from typing import Final, NewType
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from casync.errors import UsageError
from casync.ids import ID_BYTES, ManifestId
from casync.limits import MAX_NAME_BYTES, MAX_NAME_COMPONENT, MIN_PREFIX_DIGITS

__all__ = ["Name", "NameRecord", "Ref", "escape_name", "is_hash", "parse_name", "parse_ref"]

Name = NewType("Name", str)

_FIRST_RESERVED = frozenset({"job", "download"})
_RESERVED = frozenset({".", "..", "-"})
_HEX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX_DIGITS},{2 * ID_BYTES}}}")
_LIKE_HEX = re.compile(_HEX.pattern, re.IGNORECASE | re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_FORBIDDEN = re.compile(r"[:@\\\x00-\x1f\x7f-\x9f]")
_PLAIN = " !$&'()*+,;=~[]{}^|<>?#\"`"  # allowed in a name, besides letters, digits and `_.-`
_ESCAPED = re.compile(rf"[^A-Za-z0-9_.~/{re.escape(_PLAIN)}\u00A0-\uD7FF\uE000-\U0010FFFF-]+")


class NameRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a name.

    Attributes:
        name: The label.
        version: 1 for the first version, one more for each later one.
        manifest: The id that it points to.
        created: When it was set, in seconds since 1970. For display only.
        signed: The signed claim of its publisher (`casync.names.name_claim`), or empty.
    """

    name: str
    version: int
    manifest: bytes
    created: int
    signed: bytes = b""


class Ref(msgspec.Struct, frozen=True):
    """What a user typed. Exactly one of `manifest`, `prefix` and `name` is set.

    Attributes:
        manifest: A full hash.
        prefix: 8 to 63 hex digits, for manifests of the local store only.
        name: A label; `version` 0 is its newest.
        path: A path inside the manifest, or None for all of it.
    """

    manifest: ManifestId | None = None
    prefix: str | None = None
    name: Name | None = None
    version: int = 0
    path: str | None = None

    @property
    def whole(self) -> Ref:
        """The same ref without its path."""
        return replace(self, path=None)

    def __str__(self) -> str:
        """The ref as a user types it."""
        base = self.manifest.hex() if self.manifest else self.prefix or self.name or ""
        if self.version:
            base += f"@{self.version}"
        return base if self.path is None else f"{base}:{self.path}"


_NO_PATH: Final = "Names are in the store and look like images/vm.img; they are not paths of files."


def parse_name(text: str) -> Name:
    """Reads a name.

    Raises:
        UsageError: `text` breaks a rule; the message says which.
    """
    if not text:
        raise UsageError("the name is empty")
    components = text.split("/")
    if _LIKE_HEX.fullmatch(text):
        raise UsageError(f"a name must not look like a hash: {text}")
    if components[0] in _FIRST_RESERVED:
        raise UsageError(f"a name must not begin with {components[0]}/: {text}")
    for component in components:
        try:
            size = len(component.encode())
        except UnicodeEncodeError as error:
            raise UsageError(f"a name must be UTF-8: {text!r}") from error
        if not 1 <= size <= MAX_NAME_COMPONENT:
            raise UsageError(
                f"components of a name have 1 to {MAX_NAME_COMPONENT} bytes: {text}",
                next_step=_NO_PATH,
            )
        if component in _RESERVED:
            raise UsageError(
                f"a name must not have the component {component}: {text}", next_step=_NO_PATH
            )
        if _FORBIDDEN.search(component):
            raise UsageError(f"a name must not hold ':', '@', '\\' or control characters: {text}")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise UsageError(f"a name has at most {MAX_NAME_BYTES} bytes")
    return Name(text)


def escape_name(text: str, folder: str = "") -> Name:
    """Percent-encodes an external label into a valid name.

    Percent-decoding gives the label back, so distinct labels have distinct names. A `%` is encoded,
    too: escaping twice differs from escaping once.

    Args:
        text: The label.
        folder: A name with a slash at its end, below which the label's name is. What only the
            beginning of a name may not be then stays as it is.

    Raises:
        UsageError: A component is empty, or too long once encoded; or the label is not text.
    """
    try:
        # Bytes of file names that are not UTF-8 arrive as lone surrogates.
        escaped = _ESCAPED.sub(lambda found: quote(found[0], errors="surrogateescape"), text)
    except UnicodeEncodeError as error:
        raise UsageError(f"the label is not valid text: {text!r}") from error
    parts = escaped.split("/")
    reserved = not folder and (_LIKE_HEX.fullmatch(text) or parts[0] in _FIRST_RESERVED)
    for index, part in enumerate(parts):
        if part in _RESERVED or (reserved and index == 0):
            parts[index] = "".join(f"%{ord(character):02X}" for character in part)
    return parse_name(folder + "/".join(parts))


def is_hash(text: str) -> bool:
    """Whether `text` is a hash, or a prefix of one that is long enough to be a ref."""
    return _HEX.fullmatch(text) is not None


def parse_ref(text: str) -> Ref:
    """Reads a ref: `HASH`, `PREFIX`, `NAME` or `NAME@N`, each with an optional `:PATH`.

    Raises:
        UsageError: `text` is none of these, or an address.
    """
    base, colon, inside = text.partition(":")
    path = inside if colon else None
    if inside.startswith("//"):
        raise UsageError(
            "an address is given where a ref is expected",
            next_step="`casync get URL` stores what an address has; with --server URL, refs are "
            "those of a casync server.",
        )
    if is_hash(base):
        if len(base) < 2 * ID_BYTES:
            return Ref(prefix=base, path=path)
        return Ref(manifest=ManifestId(bytes.fromhex(base)), path=path)
    label, at, number = base.partition("@")
    if at and not _VERSION.fullmatch(number):
        raise UsageError(f"versions start at 1: {text}")
    return Ref(name=parse_name(label), version=int(number or 0), path=path)
