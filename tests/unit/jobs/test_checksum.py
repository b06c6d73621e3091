"""Checksums of sources."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode

import pytest
from blake3 import blake3

from casync.errors import DigestMismatchError
from casync.jobs import checksum
from casync.jobs.checksum import Checksum, Verifier, header_checksums, is_supported, parse_checksum

DATA = b"some bytes of an object"
MD5 = hashlib.md5(DATA).digest()
SHA1 = hashlib.sha1(DATA).digest()
SHA256 = hashlib.sha256(DATA).digest()
SHA512 = hashlib.sha512(DATA).digest()
CRC32 = zlib.crc32(DATA).to_bytes(4, "big")


def b64(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-md5": b64(MD5)}, [("md5", MD5)]),
        ({"x-ms-blob-content-md5": b64(MD5)}, [("md5", MD5)]),
        (
            {"x-goog-hash": f"crc32c={b64(CRC32)}, md5={b64(MD5)}"},
            [("crc32c", CRC32), ("md5", MD5)],
        ),
        ({"x-goog-hash": f"md5={b64(MD5)}", "x-goog-stored-content-encoding": "gzip"}, []),
        (
            {
                "x-goog-hash": f"md5={b64(MD5)}",
                "x-goog-stored-content-encoding": "gzip",
                "content-encoding": "gzip",
            },
            [("md5", MD5)],
        ),
        ({"x-amz-checksum-sha256": b64(SHA256)}, [("sha256", SHA256)]),
        ({"x-amz-checksum-sha1": b64(SHA1)}, [("sha1", SHA1)]),
        ({"x-amz-checksum-crc32": b64(CRC32)}, [("crc32", CRC32)]),
        ({"x-amz-checksum-sha256": b64(SHA256) + "-3"}, []),
        ({"x-amz-checksum-sha256": b64(SHA256), "x-amz-checksum-type": "COMPOSITE"}, []),
        (
            {"x-amz-checksum-crc32": b64(CRC32), "x-amz-checksum-type": "FULL_OBJECT"},
            [("crc32", CRC32)],
        ),
        ({"x-amz-checksum-crc64nvme": b64(bytes(8))}, []),
        (
            {"repr-digest": f"sha-512=:{b64(SHA512)}:, sha-256=:{b64(SHA256)}:;a=1"},
            [("sha512", SHA512), ("sha256", SHA256)],
        ),
        ({"digest": f"SHA-256={b64(SHA256)},MD5={b64(MD5)}"}, [("sha256", SHA256), ("md5", MD5)]),
        ({"digest": "unixsum=30637"}, []),
        (
            {"ais-checksum-type": "sha256", "ais-checksum-value": SHA256.hex()},
            [("sha256", SHA256)],
        ),
        ({"ais-checksum-type": "xxhash", "ais-checksum-value": "0123456789abcdef"}, []),
        ({"content-md5": "not base64", "digest": "sha-256=:short:", "x-goog-hash": "md5="}, []),
        ({"content-md5": b64(MD5), "digest": f"md5={b64(bytes(16))}"}, [("md5", MD5)]),
        ({}, []),
    ],
)
def test_checksums_are_read_from_the_fields_of_an_answer(
    headers: dict[str, str], expected: list[tuple[str, bytes]]
) -> None:
    assert header_checksums(headers) == tuple(Checksum(*each) for each in expected)


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("md5", MD5),
        ("sha1", SHA1),
        ("sha256", SHA256),
        ("sha512", SHA512),
        ("crc32", CRC32),
        ("blake3", blake3(DATA).digest()),
    ],
)
def test_bytes_are_compared_as_they_come(algorithm: str, digest: bytes) -> None:
    for text in (digest.hex(), digest.hex().upper(), b64(digest)):
        assert parse_checksum(algorithm, text) == Checksum(algorithm, digest)
    expected = (Checksum(algorithm, digest),)
    whole = Verifier(expected)
    whole.update(DATA)
    whole.finish()
    split = Verifier(expected)
    for start in range(0, len(DATA), 5):
        split.update(memoryview(DATA)[start : start + 5])
    split.finish()
    wrong = Verifier(expected)
    wrong.update(DATA[:-1])
    with pytest.raises(DigestMismatchError, match=digest.hex()):
        wrong.finish()


def test_all_checksums_must_fit() -> None:
    verifier = Verifier((Checksum("md5", MD5), Checksum("sha1", bytes(20))))
    verifier.update(DATA)
    with pytest.raises(DigestMismatchError, match="sha1"):
        verifier.finish()


def test_algorithms_that_are_not_known_are_ignored_and_said() -> None:
    unknown = Checksum("xxhash", bytes(8))
    verifier = Verifier((unknown, Checksum("md5", MD5)))
    assert verifier.ignored == (unknown,)
    verifier.update(DATA)
    verifier.finish()
    assert parse_checksum("xxhash", "00" * 8) is None


def test_crc32c_is_verified_where_a_package_can_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # The check value of CRC-32C, of the digits 1 to 9.
    expected = Checksum("crc32c", bytes.fromhex("e3069283"))
    if not is_supported(expected):
        assert Verifier((expected,)).ignored == (expected,)
        monkeypatch.setattr(checksum, "_crc32c", lambda: _slow_crc32c)
    verifier = Verifier((expected,))
    verifier.update(b"1234")
    verifier.update(b"56789")
    verifier.finish()


def _slow_crc32c(data: bytes, value: int) -> int:
    value ^= 0xFFFFFFFF
    for byte in bytes(data):
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@pytest.mark.parametrize("text", ["", "zz" * 16, "é" * 32, b64(MD5)[:-1], b64(MD5) + "\n", "AAAA"])
def test_what_is_not_a_digest_is_ignored(text: str) -> None:
    assert parse_checksum("md5", text) is None


def test_checksums_for_people() -> None:
    assert str(Checksum("crc32", CRC32)) == f"crc32:{CRC32.hex()}"
    assert Checksum("md5", MD5).is_strong
    assert not Checksum("crc32c", CRC32).is_strong
