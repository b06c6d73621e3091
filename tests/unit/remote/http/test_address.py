from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.remote.http.address import ServerAddress, origin_of, parse_address


@pytest.mark.parametrize(
    ("text", "address", "origin"),
    [
        ("http://host", ("http", "host", 80, ""), "http://host"),
        ("https://host", ("https", "host", 443, ""), "https://host"),
        ("HTTP://Host:80/", ("http", "host", 80, ""), "http://host"),
        ("http://host:8080/a/b/", ("http", "host", 8080, "/a/b"), "http://host:8080"),
        ("https://host:80", ("https", "host", 80, ""), "https://host:80"),
        ("http://[::1]:9", ("http", "::1", 9, ""), "http://[::1]:9"),
        ("http://bücher.example", ("http", "xn--bcher-kva.example", 80, ""), None),
    ],
)
def test_addresses(text: str, address: tuple[str, str, int, str], origin: str | None) -> None:
    assert parse_address(text) == ServerAddress(*address)
    if origin is not None:
        assert origin_of(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:8080",
        "127.0.0.1:80",
        "ftp://host",
        "unix:/run/x",
        "http://",
        "http://:80",
        "http:///path",
        "http://host:0",
        "http://host:65536",
        "http://host:-1",
        "http://host:x",
        "http://[::1",
        "http://host/?",
        "http://host/?a b",
        "http://host/#f",
        "http://host/a b",
        "http://host/\u00e9",
        "http://host/\x1b[2J",
        "http://ho st",
        "http://" + "a" * 64,
        "http://" + "a." * 200,
        "http://a..b",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("http://host:8080/v1", "http://host:8080"),
        ("https://host/a/v1/names/x", "https://host/a"),
    ],
)
def test_an_address_ends_before_the_version(text: str, right: str) -> None:
    with pytest.raises(UsageError, match="ends before /v1") as caught:
        parse_address(text)
    assert caught.value.next_step == f"Give {right}."
    assert parse_address("http://host/v1.2").prefix == "/v1.2"


@pytest.mark.parametrize("text", ["http://user@host", "http://:secret@host", "http://u:p@host"])
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("http://127.0.0.1", True),
        ("http://127.9.9.9:1", True),
        ("http://[::1]", True),
        ("http://localhost:80", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://0.0.0.0", False),
    ],
)
def test_loopback_addresses_are_recognized(text: str, loopback: bool) -> None:
    assert parse_address(text).is_loopback is loopback


def test_a_query_goes_with_every_request() -> None:
    address = parse_address("https://host/container/site?sv=1&sig=a%2Fb")
    assert address.target("/store") == "/container/site/store?sv=1&sig=a%2Fb"
    assert address.target("/v1/names?limit=1") == "/container/site/v1/names?limit=1&sv=1&sig=a%2Fb"
    assert "sig" not in address.origin


@pytest.mark.parametrize("text", ["ftp://host?sig=secret", "http://u:p@host?sig=secret"])
def test_a_query_is_in_no_message(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)


def test_a_proxy_has_no_query() -> None:
    with pytest.raises(UsageError):
        parse_address("http://host?q=1", "proxy")
