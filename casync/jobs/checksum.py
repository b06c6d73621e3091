"""Checksums of whole objects, as sources and lists give them."""

from __future__ import annotations

import msgspec

__all__ = ["Checksum"]


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
