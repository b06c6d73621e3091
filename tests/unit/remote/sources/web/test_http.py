"""Objects of web servers: what is asked for, and what is believed of the answers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from casync.errors import (
    DeniedError,
    DigestMismatchError,
    NotFoundError,
    RemoteError,
    RemoteProtocolError,
    SourceChangedError,
    UnreachableError,
    UsageError,
)
from casync.jobs.validators import Validators
from casync.ops.prepare.file import prepare
from casync.remote.sources.base import Listed
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.remote_object import RemoteObject, read_whole
from casync.store.memory.store import MemoryStore
from tests.support.honest_answers import (
    DATA,
    ETAG,
    ONCE,
    STRONG,
    fails,
    honest,
    read,
    serving,
)
from tests.support.scripted_server import Asked, ScriptedServer, reply


@pytest.mark.parametrize(
    "target",
    [
        "/d/a%2Fb%2fc%20d+e?X-Amz-Credential=AK%2F20%2Bx&X-Amz-Signature=a%3d&b=c+d;e&&=%%",
        '/d/{x}|^`"<>[]\\?{1..2}',
        "/d/%zz",
        "//d/../x/./y?",
    ],
)
def test_a_url_is_requested_byte_by_byte_as_it_is_written(target: str) -> None:
    """D2: presigned URLs."""
    with ScriptedServer(honest) as server, Sources(ONCE) as sources:
        source, key = sources.open(server.url + target)
        assert source.find(key) == Listed(key, len(DATA), STRONG)
        with contextlib.suppress(UsageError):
            read(source, key)
        assert {asked.target for asked in server.asked} == {target}
        assert server.asked[0].fields["accept-encoding"] == "identity"


def test_what_no_request_can_hold_is_encoded_and_a_fragment_is_dropped() -> None:
    with ScriptedServer(honest) as server, Sources(ONCE) as sources:
        source, key = sources.open(f"{server.url}/d/\u00e9 x?q=\u00e9 y#z")
        assert key == "\u00e9 x"
        source.find(key)
        assert server.asked[0].target == "/d/%C3%A9%20x?q=%C3%A9%20y"


def test_user_and_password_are_sent_but_never_shown() -> None:
    with ScriptedServer(lambda asked: reply(404)) as server, Sources(ONCE) as sources:
        address = server.url.replace("//", "//us%65r:secret@") + "/d/x?token=secret"
        source, key = sources.open(address)
        with pytest.raises(NotFoundError) as raised:
            source.open(key)
        assert server.asked[0].fields["authorization"] == "Basic dXNlcjpzZWNyZXQ="
        for text in (source.label, source.place, raised.value.message):
            assert "secret" not in text
        assert "request failed with 404 status code (Not Found)" in raised.value.message


@pytest.mark.parametrize("year", ["99999", "9" * 30])
def test_a_time_that_cannot_be_is_none(year: str) -> None:
    time = f"Mon, 01 Jan {year} 00:00:00 GMT"
    with serving(lambda asked: reply(200, DATA, Last_Modified=time)) as (_, source):
        assert read(source, "x") == (0, DATA)


@pytest.mark.parametrize("status", [405, 501, 404, 403, 500])
def test_head_may_be_refused(status: int) -> None:
    def script(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return reply(status)
        return honest(asked) if asked.range else reply(200, DATA, ETag=ETAG)

    with serving(script) as (server, source):
        if status == 500:
            with pytest.raises(UnreachableError):
                source.find("x")
            return
        assert source.find("x") == Listed("x", len(DATA), STRONG)
        assert [asked.range for asked in server.asked] == [None, (0, 1)]


def test_the_size_of_an_object_is_what_some_answer_says() -> None:
    def script(asked: Asked) -> bytes:
        if "range" in asked.target:
            return reply(200, DATA, ETag=ETAG) if asked.range else reply(200, Content_Length="-")
        if asked.target == "/d/empty":
            return reply(416, Content_Range="bytes */0") if asked.range else reply(200)
        if asked.target == "/d/unknown":
            return reply(200, DATA if asked.method == "GET" else b"", Content_Length="-")
        return reply(404)

    with serving(script) as (_, source):
        for key, size in (("norange", len(DATA)), ("empty", 0), ("unknown", None)):
            found = source.find(key)
            assert found is not None
            assert found.size == size
        assert source.find("missing") is None


def test_a_body_must_have_the_length_that_it_announced() -> None:
    fails(
        lambda asked: reply(200, DATA[:-1], Content_Length=str(len(DATA))),
        UnreachableError,
        "short_body",
    )


def test_a_body_that_no_longer_comes_is_given_up() -> None:
    stopped = threading.Event()

    def script(asked: Asked) -> Iterator[bytes]:
        yield reply(200, DATA[:1000], Content_Length=str(len(DATA)))
        stopped.wait(20)

    try:
        with serving(script, SourceOptions(retry_for=0.0, timeout=0.2)) as (_, source):
            with pytest.raises(UnreachableError) as raised:
                read(source)
            assert raised.value.fault == "stall"
            stopped.set()
    finally:
        stopped.set()


def test_an_answer_that_never_begins_is_given_up() -> None:
    stopped = threading.Event()

    def script(asked: Asked) -> Iterator[bytes]:
        yield b"HTTP/1.1 200"
        stopped.wait(20)

    try:
        with serving(script, SourceOptions(retry_for=0.0, timeout=0.2)) as (_, source):
            with pytest.raises(UnreachableError) as raised:
                read(source)
            assert raised.value.fault == "timeout"
            stopped.set()
    finally:
        stopped.set()


@pytest.mark.parametrize("status", [400, 402, 405, 410, 451])
def test_a_refusal_is_an_error_with_its_status(status: int) -> None:
    kind = NotFoundError if status == 410 else RemoteError
    assert fails(lambda asked: reply(status), kind, "http").status == status


@pytest.mark.parametrize("status", [401, 403])
def test_a_lack_of_rights_is_an_error_with_its_status(status: int) -> None:
    assert fails(lambda asked: reply(status), DeniedError, "http").status == status


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(status: int) -> None:
    """D4."""
    left = [reply(status, b"busy", Retry_After="0")] * 3
    script = lambda asked: left.pop() if left else honest(asked)  # noqa: E731
    with serving(script, SourceOptions(retry_for=30.0)) as (server, source):
        assert read(source) == (0, DATA)
        assert len(server.asked) == 4
    error = fails(lambda asked: reply(status, Retry_After="7"), UnreachableError, "http")
    assert isinstance(error, UnreachableError)
    assert (error.status, error.retry_after) == (status, 7.0)


def test_what_is_no_http_is_an_error() -> None:
    fails(lambda asked: b"SSH-2.0-OpenSSH_9.2\r\n\r\n", RemoteProtocolError, "connect")


def test_hosts_that_are_not_there_are_named() -> None:
    with Sources(ONCE) as sources:
        for address, fault in (
            ("http://127.0.0.1:1/x", "connect"),
            ("http://does-not-exist.invalid/x", "dns"),
        ):
            source, key = sources.open(address)
            with pytest.raises(UnreachableError) as raised:
                source.find(key)
            assert raised.value.fault == fault


def test_compressed_answers_are_refused_unless_the_object_is_stored_so() -> None:
    """A server that compresses on its own account sends other bytes than those of the object."""

    def script(asked: Asked) -> bytes:
        etag = ETAG if asked.target == "/d/stored" else 'W/"one"'
        length = str(len(DATA)) if asked.target != "/d/chunked" else "-"
        return reply(200, DATA, ETag=etag, Content_Encoding="gzip", Content_Length=length)

    with serving(script) as (_, source):
        for key in ("x.tar.gz", "x.TGZ", "stored"):
            assert read(source, key) == (0, DATA)
        for key in ("weak", "chunked"):
            with pytest.raises(RemoteProtocolError, match="compresses its answer"):
                read(source, key)


def test_conditions_are_sent_and_those_that_are_ignored_are_noticed() -> None:
    """D11."""
    answers = {"/d/etag": reply(304), "/d/ignored": reply(200, DATA, ETag=ETAG)}
    answers["/d/time"] = answers["/d/etag"]
    with serving(lambda asked: answers[asked.target]) as (server, source):
        for key in ("etag", "ignored"):
            assert source.open(key, unless=STRONG) is None
            assert server.asked[-1].fields["if-none-match"] == ETAG
        settled = Validators(last_modified=784111777 * 10**9, settled=True)
        with pytest.raises(RemoteError):
            source.open("time", unless=settled)  # a time is no condition: it may go back
        with pytest.raises(RemoteError):
            source.open("etag")  # a 304 to a request without conditions


def test_a_large_object_is_read_in_ranges_once_a_206_proved_them() -> None:
    with serving(honest) as (server, source):
        listed = source.find("x")
        assert listed is not None
        assert b"".join(RemoteObject(source, listed).blocks(100_000)) == DATA
        ranges = [asked.range for asked in server.asked if asked.range]
        assert sorted(ranges) == [(at, at + 100_000) for at in range(0, len(DATA), 100_000)]


def test_a_change_between_ranges_is_noticed() -> None:
    """D11."""

    def script(asked: Asked) -> bytes:
        return honest(asked, etag='"two"' if (asked.range or (0,))[0] > 500_000 else ETAG)

    with serving(script) as (_, source):
        reader = RemoteObject(source, Listed("x", len(DATA), STRONG))
        with pytest.raises(SourceChangedError):
            list(reader.blocks(100_000))


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_stream_that_breaks_off_goes_on(has_ranges: bool) -> None:
    broken = iter(range(3))

    def script(asked: Asked) -> bytes:
        if not has_ranges:
            asked.fields.pop("range", None)
        whole = honest(asked)
        return whole[:-100_000] if next(broken, None) is not None else whole

    with serving(script) as (server, source):
        reader = RemoteObject(source, Listed("x", None, STRONG))
        assert b"".join(reader.blocks()) == DATA
        assert len(server.asked) == 4


def test_a_stream_that_breaks_off_is_not_patched_with_another_version() -> None:
    """D11."""
    tags = iter(['"one"', '"two"'])

    def script(asked: Asked) -> bytes:
        whole = honest(asked, etag=next(tags))
        return whole[:-100_000]

    with serving(script) as (_, source):
        reader = RemoteObject(source, Listed("x", None))
        with pytest.raises(SourceChangedError):
            list(reader.blocks())


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_stream_that_breaks_off_without_a_validator_did_not_change(is_chunked: bool) -> None:
    """Nothing says that the object is another one; it is read once more from its first byte."""
    asks: list[Asked] = []

    def script(asked: Asked) -> bytes:
        asks.append(asked)
        if is_chunked:
            return reply(
                200, b"1F4\r\n" + bytes(500), Content_Length="-", Transfer_Encoding="chunked"
            )
        return reply(200, bytes(500), Content_Length="1000")

    with serving(script) as (_, source):
        listed = Listed("x", None if is_chunked else 1000)
        with pytest.raises(UnreachableError) as raised:
            prepare(RemoteObject(source, listed), MemoryStore())
    assert raised.value.fault == "short_body"
    assert "broke off its answer" in raised.value.message
    assert len([asked for asked in asks if asked.method == "GET"]) > 2


def test_the_checksum_of_a_server_is_verified() -> None:
    wrong = "1B2M2Y8AsgTpgAmY7PhCfg=="  # of nothing
    with serving(lambda asked: reply(200, DATA, Content_MD5=wrong)) as (_, source):
        with pytest.raises(DigestMismatchError, match="md5"):
            read_whole(source, "x", len(DATA))
        with pytest.raises(DigestMismatchError) as raised:
            list(RemoteObject(source, Listed("x", None)).blocks())
        assert raised.value.fault == "checksum"
