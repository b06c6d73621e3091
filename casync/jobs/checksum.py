"""Checksums of whole objects, as sources and lists give them, and their verification.

Read are `Content-MD5`, `x-goog-hash`, `x-amz-checksum-*`, `Repr-Digest` (RFC 9530) and `Digest`
(RFC 3230), `x-ms-blob-content-md5`, and AIStore's. A checksum of parts of an object (S3's composite
ones) and algorithms that are not known here are ignored.
"""

from __future__ import annotations

import binascii
import hashlib
import importlib
import importlib.util
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, Protocol

import msgspec
from blake3 import blake3

from casync.errors import DigestMismatchError
from casync.ids import Buffer

__all__ = ["Checksum", "Verifier", "header_checksums", "is_supported", "parse_checksum"]

_LENGTHS: Final = {
    "md5": 16,
    "sha1": 20,
    "sha256": 32,
    "sha512": 64,
    "blake3": 32,
    "crc32": 4,
    "crc32c": 4,
}
"""Bytes of the digests of each algorithm."""

_AMZ: Final = ("sha1", "sha256", "crc32", "crc32c")
_DIGESTS: Final = {
    "md5": "md5",
    "sha": "sha1",
    "sha-256": "sha256",
    "sha-512": "sha512",
    "crc32c": "crc32c",
}
"""Names of algorithms in `Digest` and `Repr-Digest`. Their `crc32c` is base64 of four bytes."""

_FIELDS: Final = frozenset(
    {
        "content-md5",
        "x-ms-blob-content-md5",
        "x-goog-hash",
        *(f"x-amz-checksum-{algorithm}" for algorithm in _AMZ),
        "repr-digest",
        "digest",
        "ais-checksum-type",
    }
)
"""Fields that hold checksums. Most answers have none of them."""

_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_DIGEST: Final = re.compile(r"\s*([A-Za-z0-9-]+)=(:?)([A-Za-z0-9+/_-]*={0,2})\2\s*(?:;[^,]*)?")


class Checksum(msgspec.Struct, frozen=True, array_like=True):
    """A checksum of an object's bytes.

    Attributes:
        algorithm: `md5`, `sha1`, `sha256`, `sha512`, `blake3`, `crc32` or `crc32c`.
        digest: Its bytes; those of a CRC are big-endian.
    """

    algorithm: str
    digest: bytes

    @property
    def is_strong(self) -> bool:
        """Whether equal digests mean equal bytes. 32 bits of a CRC are too few for that."""
        return not self.algorithm.startswith("crc")

    def __str__(self) -> str:
        """The checksum for people: `md5:0a1b…`."""
        return f"{self.algorithm}:{self.digest.hex()}"


class _Hash(Protocol):
    def update(self, data: Buffer, /) -> object: ...
    def digest(self) -> bytes: ...


class Verifier:
    """Compares the bytes of an object with its checksums, as they come.

    Args:
        checksums: What the bytes must have. Those that are not supported are ignored.

    Attributes:
        ignored: The checksums that are not supported.
    """

    def __init__(self, checksums: tuple[Checksum, ...]) -> None:
        self._hashes = [(one, _HASHES[one.algorithm]()) for one in checksums if is_supported(one)]
        self.ignored = tuple(one for one in checksums if not is_supported(one))

    def update(self, data: Buffer) -> None:
        """Takes the next bytes."""
        for _, running in self._hashes:
            running.update(data)

    def finish(self) -> None:
        """Ends the object.

        Raises:
            DigestMismatchError: It is not the one that the checksums are of.
        """
        for expected, running in self._hashes:
            if (found := running.digest()) != expected.digest:
                raise DigestMismatchError(
                    f"the object has {expected.algorithm} {found.hex()}, but should have "
                    f"{expected.digest.hex()}"
                )


def is_supported(checksum: Checksum) -> bool:
    """Whether a checksum can be verified here. CRC-32C needs a package that may be missing."""
    return checksum.algorithm in _HASHES and (
        checksum.algorithm != "crc32c" or _crc32c() is not None
    )


def parse_checksum(algorithm: str, text: str) -> Checksum | None:
    """Reads a digest in hex or base64; None if it is not one of a known algorithm."""
    length = _LENGTHS.get(algorithm)
    if length is None or not text.isascii():
        return None
    try:
        if _HEX.fullmatch(text):
            digest = bytes.fromhex(text)
        else:
            digest = binascii.a2b_base64(text.encode(), strict_mode=True)
    except ValueError:
        return None
    return Checksum(algorithm, digest) if len(digest) == length else None


def header_checksums(headers: Mapping[str, str]) -> tuple[Checksum, ...]:
    """The checksums of the whole object in the header fields of an answer.

    Args:
        headers: Fields by lower-case names; several of one name are joined with commas. Of an
            answer with a part of the object (status 206), `Content-MD5` must be left out: it is
            that of the part.
    """
    if _FIELDS.isdisjoint(headers):
        return ()
    found = dict[str, Checksum]()
    for algorithm, text in _texts(headers):
        checksum = parse_checksum(algorithm, text.strip())
        if checksum is not None:
            found.setdefault(algorithm, checksum)
    return tuple(found.values())


def _texts(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Algorithms and digests, where they are of the bytes that are sent."""
    for name in ("content-md5", "x-ms-blob-content-md5"):
        if text := headers.get(name):
            yield "md5", text
    # Stored compressed and sent plain, an object has a hash of other bytes than those sent.
    stored = headers.get("x-goog-stored-content-encoding", "identity")
    if stored in ("identity", headers.get("content-encoding", "identity")):
        for field in headers.get("x-goog-hash", "").split(","):
            algorithm, _, text = field.strip().partition("=")
            yield algorithm.lower(), text
    if headers.get("x-amz-checksum-type", "").upper() != "COMPOSITE":
        for algorithm in _AMZ:
            # Those of uploads in parts end in their number, so they are not base64.
            yield algorithm, headers.get(f"x-amz-checksum-{algorithm}", "")
    for name in ("repr-digest", "digest"):
        for field in headers.get(name, "").split(","):
            if match := _DIGEST.fullmatch(field):
                yield _DIGESTS.get(match[1].lower(), ""), match[3]
    yield headers.get("ais-checksum-type", ""), headers.get("ais-checksum-value", "")


class _Crc:
    def __init__(self, step: Callable[[Buffer, int], int]) -> None:
        self._step = step
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


@cache
def _crc32c() -> Callable[[Buffer, int], int] | None:
    """The CRC-32C of bytes after others with the given one, by the first package that is here."""
    for name in ("google_crc32c", "crc32c"):
        if importlib.util.find_spec(name) is not None:
            library: Any = importlib.import_module(name)
            if name == "crc32c":
                return lambda data, value: int(library.crc32c(data, value))
            return lambda data, value: int(library.extend(value, bytes(data)))
    return None


def _new_crc32c() -> _Hash:
    step = _crc32c()
    assert step is not None
    return _Crc(step)


_HASHES: Final[dict[str, Callable[[], _Hash]]] = {
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "blake3": blake3,
    "crc32": lambda: _Crc(zlib.crc32),
    "crc32c": _new_crc32c,
}
