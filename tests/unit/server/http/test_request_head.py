"""Heads that parsers read differently do not reach the application."""

import pytest
from casync_server.http.request_head import Head, check_head

LENGTH = (b"content-length", b"5")
CHUNKED = (b"transfer-encoding", b"chunked")


def status(
    *, target: bytes = b"/", version: str = "1.1", fields: tuple[tuple[bytes, bytes], ...] = ()
) -> int:
    refusal = check_head(Head(b"POST", target, version, list(fields)), 100)
    return refusal.status if refusal else 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), 200),
        ((LENGTH,), 200),
        ((CHUNKED,), 200),
        ((LENGTH, CHUNKED), 400),
        ((CHUNKED, LENGTH), 400),
        ((LENGTH, LENGTH), 400),
        ((CHUNKED, CHUNKED), 400),
        (((b"transfer-encoding", b"gzip, chunked"),), 501),
        (((b"transfer-encoding", b"identity"),), 501),
        (((b"content-length", b"+5"),), 400),
        (((b"content-length", b"-5"),), 400),
        (((b"content-length", b"5, 5"),), 400),
        (((b"content-length", b""),), 400),
        (((b"content-length", "\u0665".encode()),), 400),
        (((b"content-length", b"9" * 30),), 400),
        (((b"content-length", b"101"),), 413),
    ],
)
def test_framing(fields: tuple[tuple[bytes, bytes], ...], expected: int) -> None:
    assert status(fields=fields) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/v1/info?x=%ff", 200),
        (b"/%e2%82%ac", 200),
        (b"http://127.0.0.1/v1/info", 400),
        (b"//evil/v1/info", 200),
        (b"*", 400),
        (b"evil:443", 400),
        (b"", 400),
        (b"/%ff", 400),
        (b"/v1/files/www/-/%ff", 200),
        (b"/v1/files/%ff/-/x", 400),
        (b"/%c0%ae", 400),
        (b"/\xc3\xa9", 400),
        (b"/a#b", 400),
    ],
)
def test_targets(target: bytes, expected: int) -> None:
    assert status(target=target) == expected


@pytest.mark.parametrize(
    ("version", "expected"), [("1.1", 200), ("1.0", 200), ("0.9", 505), ("2.0", 505)]
)
def test_versions(version: str, expected: int) -> None:
    assert status(version=version) == expected


def test_http_1_0_has_no_chunks() -> None:
    assert status(version="1.0", fields=(CHUNKED,)) == 400
