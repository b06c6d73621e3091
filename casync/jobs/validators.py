"""Validators: what a source says about an object, to tell later whether it is still the same.

Sources differ in how they write the same ETag (Azure's listings leave out the quotes), so tags are
kept as they came and normalised when they are compared.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from casync.jobs.checksum import Checksum

__all__ = ["NO_VALIDATORS", "Sameness", "Validators", "opaque_tag", "sameness"]

_WEAK: Final = "W/"
_SECOND: Final = 1_000_000_000


class Validators(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a source says about one state of an object. All of it may be missing.

    Attributes:
        etag: The ETag as it came, with its quotes and `W/` if it had them; empty for none.
        last_modified: Time of the last change, in nanoseconds since 1970.
        version: A text that the source never gives to two states of the object: a version or
            generation of a cloud, or the identity of a local file. Empty for none.
        checksums: Checksums of the whole object.
        settled: `last_modified` was at least a minute old by the source's clock when it was told,
            so a later change cannot have the same second. RFC 9110 section 8.8.2.2 then allows it
            as a strong validator of requests.
    """

    etag: str = ""
    last_modified: int | None = None
    version: str = ""
    checksums: tuple[Checksum, ...] = ()
    settled: bool = False

    @property
    def strong_etag(self) -> str:
        """The ETag in quotes, as HTTP writes it; empty if it is weak or missing."""
        opaque = "" if self.etag.startswith(_WEAK) else opaque_tag(self.etag)
        return f'"{opaque}"' if opaque else ""

    @property
    def http_date(self) -> str:
        """`last_modified` as HTTP writes it, for If-Range; empty if it is missing."""
        if self.last_modified is None or not 0 <= self.last_modified < 2**62:
            return ""
        from email.utils import formatdate  # rarely needed, and slow to import

        return formatdate(self.last_modified // _SECOND, usegmt=True)

    @property
    def if_range(self) -> str:
        """What If-Range may carry: a strong ETag, else a settled time; empty if there is neither.

        Without it an interrupted object starts over.
        """
        return self.strong_etag or (self.http_date if self.settled else "")


NO_VALIDATORS: Final = Validators()


class Sameness(Enum):
    """What validators prove about two states of an object."""

    SAME = "same"
    CHANGED = "changed"
    UNKNOWN = "unknown"  # ask with a conditional request, or fetch


def sameness(
    old: Validators, old_size: int | None, new: Validators, new_size: int | None
) -> Sameness:
    """Compares two states of an object.

    They are the same only if the sizes are equal and a strong validator is: a checksum other than a
    CRC, a version, or a strong ETag, in this order. Times never decide: they have a resolution of a
    second, and pages that list a folder round them further.

    Args:
        old: What was known.
        old_size: The size in bytes; None if it was not known.
        new: What the source says now.
        new_size: The size that it says; None if it does not.
    """
    if old_size is not None and new_size is not None and old_size != new_size:
        return Sameness.CHANGED
    proof = Sameness.UNKNOWN
    if old.checksums and new.checksums:
        proof = _compare_checksums(old, new)
    if proof is Sameness.UNKNOWN and old.version and new.version:
        proof = Sameness.SAME if old.version == new.version else Sameness.CHANGED
    if proof is Sameness.UNKNOWN and old.etag and new.etag:
        proof = _compare_etags(old.etag, new.etag)
    if proof is Sameness.SAME and (old_size is None or new_size is None):
        return Sameness.UNKNOWN
    return proof


def opaque_tag(etag: str) -> str:
    """The text between the quotes of an ETag, whether or not it has quotes and `W/`."""
    text = etag.removeprefix(_WEAK)
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text.strip('"')


def _compare_checksums(old: Validators, new: Validators) -> Sameness:
    digests = {checksum.algorithm: checksum for checksum in old.checksums}
    proof = Sameness.UNKNOWN
    for checksum in new.checksums:
        if (other := digests.get(checksum.algorithm)) is None:
            continue
        if other.digest != checksum.digest:
            return Sameness.CHANGED
        if checksum.is_strong:
            proof = Sameness.SAME
    return proof


def _compare_etags(old: str, new: str) -> Sameness:
    one, other = opaque_tag(old), opaque_tag(new)
    if not one or not other:
        return Sameness.UNKNOWN
    if one != other:
        return Sameness.CHANGED
    weak = old.startswith(_WEAK) or new.startswith(_WEAK)
    return Sameness.UNKNOWN if weak else Sameness.SAME
