"""Addresses that a server may listen on."""

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from casync_server.options import ServeOptions
from casync_server.process.address import bind, exposed, parse_listen, url_of

from casync.errors import LockedError, UsageError, WriteError


@pytest.mark.parametrize(
    ("text", "host", "port", "public"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, False),
        ("localhost:0", "127.0.0.1", 0, False),
        ("127.8.9.1:1", "127.8.9.1", 1, False),
        ("[::1]:8080", "::1", 8080, False),
        ("0.0.0.0:80", "0.0.0.0", 80, True),
        ("[::]:80", "::", 80, True),
        ("192.168.1.2:80", "192.168.1.2", 80, True),
    ],
)
def test_addresses(text: str, host: str, port: int, public: bool) -> None:
    listen = parse_listen(text)
    assert (listen.host, listen.port, listen.public) == (host, port, public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8080",
        "8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:99999999",
        "127.0.0.1:-1",
        "127.0.0.1:٨",
        "::1:8080",
        "[127.0.0.1]:80",
        "example.org:80",
        "http://127.0.0.1:80",
        "unix:",
        "unix:" + "x" * 108,
        "unix:a\0b",
    ],
)
def test_text_that_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_listen(text)


def test_a_public_address_needs_tokens_or_a_flag() -> None:
    options = ServeOptions(store=Path("s"), listen=("127.0.0.1:0", "0.0.0.0:0"))
    addresses = [parse_listen(text) for text in options.listen]
    assert exposed(addresses, options) == "0.0.0.0:0"
    assert exposed(addresses[:1], options) == ""
    assert exposed(addresses, replace(options, insecure_no_auth=True)) == ""
    encrypted = replace(options, tls_cert=Path("c"), tls_key=Path("k"))
    assert exposed(addresses, encrypted) == "0.0.0.0:0"
    assert exposed(addresses, replace(options, client_ca=Path("ca"))) == ""


@pytest.mark.parametrize(
    "wrong", [{"listen": ()}, {"workers": 0}, {"workers": 1000}, {"grace": -1.0}]
)
def test_invalid_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ServeOptions(store=Path("s"), **wrong).check()  # type: ignore[arg-type]


def test_port_0_prints_the_real_one() -> None:
    with bind(parse_listen("127.0.0.1:0")) as sock:
        port = sock.getsockname()[1]
        assert port != 0
        assert url_of(sock) == f"http://127.0.0.1:{port}"


def test_an_address_in_use_is_reported() -> None:
    with bind(parse_listen("127.0.0.1:0")) as sock, pytest.raises(LockedError):
        bind(parse_listen(f"127.0.0.1:{sock.getsockname()[1]}"))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError):
        bind(parse_listen("192.0.2.1:0"))


def test_a_unix_socket_is_private_and_replaces_a_dead_one(tmp_path: Path) -> None:
    listen = parse_listen(f"unix:{tmp_path}/s")
    bind(listen).close()
    assert (tmp_path / "s").exists()
    with bind(listen) as sock:
        assert stat.S_IMODE(os.stat(tmp_path / "s").st_mode) == 0o600
        assert url_of(sock) == f"unix:{tmp_path}/s"
        with pytest.raises(LockedError):
            bind(listen)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/s")


def test_a_file_at_the_path_of_a_unix_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(LockedError):
        bind(parse_listen(f"unix:{tmp_path}/s"))
    assert (tmp_path / "s").read_text() == "mine"
    with pytest.raises(WriteError):
        bind(parse_listen(f"unix:{tmp_path}/missing/s"))
