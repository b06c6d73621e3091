"""Redirects of web servers: where they may lead, and what goes with them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from casync.errors import DeniedError, NotFoundError, RemoteError
from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.support.certificates import make_authority, make_certificate
from tests.support.scripted_server import Asked, ScriptedServer, reply

SECRET = SourceOptions(retry_for=0.0, headers=(("X-Token", "secret"),))


def read(source: RemoteSource, key: str) -> bytes:
    answer = source.open(key)
    assert answer is not None
    with answer:
        return b"".join(answer.blocks())


def found(asked: Asked) -> bytes:
    return reply(200, b"found at " + asked.target.encode())


def test_redirects_are_followed_and_other_servers_get_no_secrets() -> None:
    with ScriptedServer(found) as other:

        def script(asked: Asked) -> bytes:
            if asked.target == "/d/x":
                return reply(302, b"somewhere else", Location="y%2Bz?q=%2F")
            if asked.target == "/d/y%2Bz?q=%2F":
                return reply(307, Location=f"{other.url}/there?sig=%2b")
            return found(asked)

        with ScriptedServer(script) as server, Sources(SECRET) as sources:
            address = server.url.replace("//", "//user:secret@")
            source, key = sources.open(f"{address}/d/x")
            assert read(source, key) == b"found at /there?sig=%2b"
            assert [asked.target for asked in server.asked] == ["/d/x", "/d/y%2Bz?q=%2F"]
            for asked in server.asked:
                assert "authorization" in asked.fields
                assert asked.fields["x-token"] == "secret"
            assert not {"authorization", "x-token"} & set(other.asked[0].fields)


def test_redirects_end_after_ten() -> None:
    with ScriptedServer(lambda asked: reply(301, Location=asked.target + "x")) as server:
        with Sources(SECRET) as sources:
            source, _ = sources.open(f"{server.url}/d/")
            with pytest.raises(RemoteError, match="redirects more than 10 times") as raised:
                read(source, "x")
        assert (raised.value.fault, raised.value.status) == ("http", 301)
        assert len(server.asked) == 11


@pytest.mark.parametrize(
    "location", ["ftp://host/x", "file:///etc/passwd", "http://", "http://:0/"]
)
def test_redirects_lead_to_web_servers_only(location: str) -> None:
    script = lambda asked: reply(302, Location=location)  # noqa: E731
    with ScriptedServer(script) as server, Sources(SECRET) as sources:
        source, key = sources.open(f"{server.url}/x")
        with pytest.raises(RemoteError):
            read(source, key)


def test_a_redirect_to_the_same_with_a_slash_is_a_folder() -> None:
    with ScriptedServer(lambda asked: reply(301, Location=asked.target + "/")) as server:
        server.script = lambda asked: (
            reply(301, Location=asked.target + "/") if asked.target[-1] != "/" else found(asked)
        )
        with Sources(SECRET) as sources:
            source, key = sources.open(f"{server.url}/a%20b")
            assert source.find(key) is None
            with pytest.raises(NotFoundError, match="is a folder"):
                source.open(key)


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path, "server", "127.0.0.1"))
    options = SourceOptions(retry_for=0.0, ca=authority)
    with ScriptedServer(found) as plain, Sources(options) as sources:

        def script(asked: Asked) -> bytes:
            return reply(302, Location=f"{plain.url}/x") if asked.target == "/x" else found(asked)

        with ScriptedServer(script, tls=context) as server:
            source, key = sources.open(f"{server.url}/y")
            assert read(source, key) == b"found at /y"
            source, key = sources.open(f"{server.url}/x")
            with pytest.raises(DeniedError, match="not encrypted") as raised:
                read(source, key)
            assert raised.value.fault == "policy"
        assert plain.asked == []
    with (
        Sources(SourceOptions(retry_for=0.0)) as sources,
        ScriptedServer(found, tls=context) as server,
    ):
        source, key = sources.open(f"{server.url}/y")
        with pytest.raises(RemoteError) as wrong:
            read(source, key)
        assert wrong.value.fault == "tls"


def test_each_connection_is_asked_about_with_its_address() -> None:
    """The rules of a server see the address that is connected to, also after a redirect."""
    seen: list[tuple[str, str, int]] = []

    def egress(host: str, address: str, port: int) -> None:
        seen.append((host, address, port))
        if port == other.port:
            raise DeniedError("not there")

    with ScriptedServer(found) as other:
        script = lambda asked: reply(302, Location=f"http://127.0.0.1:{other.port}/x")  # noqa: E731
        with (
            ScriptedServer(script) as server,
            Sources(SourceOptions(retry_for=0.0, egress=egress)) as sources,
        ):
            source, key = sources.open(f"http://localhost:{server.port}/x")
            with pytest.raises(DeniedError, match="not there"):
                read(source, key)
            assert seen[-2:] == [
                ("localhost", "127.0.0.1", server.port),
                ("127.0.0.1", "127.0.0.1", other.port),
            ]
        assert other.asked == []
