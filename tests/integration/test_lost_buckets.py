"""Buckets that cannot be reached, are missing, or refuse who asks: what users learn, and when."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from casync.errors import RemoteError, UnreachableError
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage
from tests.support.certificates import make_authority, make_certificate
from tests.support.program import Program
from tests.support.scripted_server import Asked, ScriptedServer, reply

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "x"}
STORE = ("--store", "s3://bucket/p")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """One that retries for longer than any test runs."""
    config = tmp_path / ".config" / "casync" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('retry_for = "1h"\n')
    found = Program(tmp_path)
    found.environment |= KEYS
    return found


def error(status: int, code: str) -> bytes:
    return reply(status, f"<Error><Code>{code}</Code><Message>so</Message></Error>".encode())


def test_what_was_never_reached_is_given_up_soon(program: Program) -> None:
    unknown = program.run("ls", *STORE, AWS_ENDPOINT_URL="http://no.such.host.invalid")
    assert unknown.status == 5
    assert "unknown host" in unknown.err
    refused = program.run("ls", *STORE, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert refused.status == 5
    assert "lost, retrying until" in refused.err
    assert "Connection refused. Check that its server runs." in refused.err
    assert "AWS_ENDPOINT_URL" in refused.err


def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    program: Program, tmp_path: Path
) -> None:
    make_authority(tmp_path / "ca")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*make_certificate(tmp_path / "ca", "127.0.0.1"))
    with ScriptedServer(lambda asked: reply(200), tls) as server:
        refused = program.run("ls", *STORE, AWS_ENDPOINT_URL=server.url)
        assert refused.status == 5
        assert "is not trusted: UnknownIssuer" in refused.err
        assert "AWS_CA_BUNDLE" in refused.err


def test_a_server_without_tls_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RemoteError, match="does not speak TLS") as raised:
            open_storage("s3://bucket/p", options(url)).get("head")
        thread.join()
    assert raised.value.next_step == "Try an http:// endpoint."


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (404, "XAdminUserNotFound"),
        (400, "ExpiredToken"),
    ],
)
@pytest.mark.parametrize("command", ["ls", "verify"])
def test_an_unknown_key_is_denied(program: Program, status: int, code: str, command: str) -> None:
    """S3, Ceph and versitygw."""
    with ScriptedServer(lambda asked: error(status, code)) as server:
        refused = program.run(command, *STORE, AWS_ENDPOINT_URL=server.url)
    assert refused.status == 8
    assert code in refused.err
    assert "AWS_ACCESS_KEY_ID" in refused.err


@pytest.mark.parametrize(
    "command",
    [("ls",), ("serve", "--listen", "127.0.0.1:0"), ("gc",), ("prepare", "-"), ("store", "stats")],
)
def test_a_missing_bucket_is_not_found(program: Program, command: tuple[str, ...]) -> None:
    with ScriptedServer(lambda asked: error(404, "NoSuchBucket")) as server:
        refused = program.run(*command, *STORE, AWS_ENDPOINT_URL=server.url)
    assert refused.status == 9
    assert "there is no bucket s3://bucket. Check its name" in refused.err


class Watch:
    """A `ServerWatch` that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_lost = threading.Event()

    def lost(self, origin: str, reason: str, seconds: float) -> None:
        self.told.append(f"lost {origin}: {reason}")
        self.is_lost.set()

    def back(self, origin: str) -> None:
        self.told.append(f"back {origin}")

    def given_up(self, origin: str) -> None:
        self.told.append(f"given up {origin}")


def options(url: str, watch: Watch | None = None, retry_for: float = 3600.0) -> SourceOptions:
    keys = {"access_key_id": "a", "secret_access_key": "b", "region": "x"}
    return SourceOptions(s3_endpoint=url, s3=keys, watch=watch, retry_for=retry_for)


def until_told(watch: Watch, answer: Callable[[Asked], bytes]) -> Callable[[Asked], bytes]:
    """A server that is too busy until the watch has been told so."""
    return lambda asked: answer(asked) if watch.is_lost.is_set() else error(503, "SlowDown")


def test_an_outage_is_told_while_it_lasts() -> None:
    watch = Watch()
    whole = reply(200, b"x", ETag='"e"', Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
    with ScriptedServer(until_told(watch, lambda asked: whole)) as server:
        found = open_storage("s3://bucket/p", options(server.url, watch)).get("head")
    assert found is not None
    assert found.data == b"x"
    lost, back = watch.told
    assert lost.startswith("lost s3://bucket: ")
    assert "SlowDown" in lost
    assert back == "back s3://bucket"


OBJECT = """<Contents><Key>{}</Key><LastModified>2015-10-21T07:28:00.000Z</LastModified>
<ETag>"x"</ETag><Size>3</Size></Contents>"""


def test_a_listing_goes_on_after_an_outage() -> None:
    """A page that fails must not look like the last one, and what came does not come again."""
    keys = [f"p/{number:03}" for number in range(150)]
    fails = [True, True]

    def answer(asked: Asked) -> bytes:
        query = parse_qs(urlsplit(asked.target).query)
        if "continuation-token" in query:
            return error(503, "SlowDown")
        start = query.get("start-after", [""])[0]
        if start and fails:
            fails.pop()
            return error(503, "SlowDown")
        listed = "".join(OBJECT.format(key) for key in keys if key > start)
        end = "<IsTruncated>false</IsTruncated>"
        if not start:
            listed = "".join(OBJECT.format(key) for key in keys[:100])
            end = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        page = f"<ListBucketResult>{end}{listed}</ListBucketResult>"
        return reply(200, page.encode())

    with ScriptedServer(answer) as server:
        found = list(open_storage("s3://bucket/p", options(server.url)).list())
    assert [f"p/{each.key}" for each in found] == keys
    assert not fails


def test_an_outage_that_lasts_is_given_up() -> None:
    with (
        ScriptedServer(lambda asked: error(503, "SlowDown")) as server,
        pytest.raises(UnreachableError, match="s3://bucket/p/head: SlowDown"),
    ):
        open_storage("s3://bucket/p", options(server.url, retry_for=0.2)).get("head")


def test_a_server_that_never_answers_is_given_up_as_one_that_is_away() -> None:
    """Its silence counts as time without progress."""
    is_given_up = threading.Event()

    def silent(_: Asked) -> bytes:
        is_given_up.wait(5)
        return error(404, "NoSuchKey")

    with ScriptedServer(silent) as server:
        try:
            with pytest.raises(UnreachableError, match="does not answer in time"):
                open_storage("s3://bucket/p", options(server.url, retry_for=0.3)).get("head")
        finally:
            is_given_up.set()
