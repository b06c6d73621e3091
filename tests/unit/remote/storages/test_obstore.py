"""Buckets whose server refuses, conflicts or fails: what the storage makes of it."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from casync.bucket.storage import ObjectStorage, Tag, TagForm
from casync.errors import (
    CasyncError,
    DeniedError,
    MalformedError,
    NotFoundError,
    RemoteError,
    StoppedError,
    UnreachableError,
    UnsupportedError,
)
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage
from tests.support.handlers import handling
from tests.support.scripted_server import Asked, ScriptedServer, reply

SECRET = "TOPSECRET"
KEYS = {"access_key_id": "a", "secret_access_key": SECRET, "region": "x"}
SAS = {"account_name": "a", "sas_key": f"sv=2021&sig={SECRET}"}
ANONYMOUS = json.dumps(
    {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
)
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
TAG = Tag('"abc"\n')


def opened(
    url: str, address: str = "s3://bucket/some/prefix", retry_for: float = 0.0, timeout: float = 5.0
) -> ObjectStorage:
    options = SourceOptions(
        s3_endpoint=url,
        s3=KEYS,
        az_endpoint=url,
        az=SAS,
        gs_endpoint=url,
        gs={"service_account_key": ANONYMOUS},
        retry_for=retry_for,
        timeout=timeout,
    )
    return open_storage(address, options)


def refusal(status: int, code: str = "Why", **fields: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>it is &#34;so&#34;</Message></Error>"
    return reply(status, body.encode(), **fields)


def script(*answers: bytes) -> Callable[[Asked], bytes]:
    """One answer after the other, the last one for good."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


WRITTEN = reply(200, ETag='"new"')


@pytest.mark.parametrize(("form", "condition"), [(TagForm.QUOTED, '"abc"'), (TagForm.BARE, "abc")])
@pytest.mark.parametrize("tag", [TAG, Tag("abc\n")])
def test_conditions_have_the_form_that_was_found(form: TagForm, condition: str, tag: Tag) -> None:
    with ScriptedServer(script(WRITTEN)) as server:
        storage = opened(server.url).using(form)
        assert storage.swap("head", b"1", tag) == '"new"\n'
        assert storage.create("store", b"1")
        storage.put("run/x", b"1")
    fields = [asked.fields for asked in server.asked]
    assert [asked.target for asked in server.asked] == [
        f"/bucket/some/prefix/{key}" for key in ("head", "store", "run/x")
    ]
    assert fields[0]["if-match"] == condition
    assert fields[1]["if-none-match"] == "*"
    assert not {"if-match", "if-none-match"} & fields[2].keys()


def test_caches_may_keep_what_never_changes() -> None:
    with ScriptedServer(script(WRITTEN)) as server:
        for key in ("seg/00/x", "run/x", "n/00/x", "m/00/x", "head"):
            opened(server.url).put(key, b"1")
    found = [asked.fields["cache-control"] for asked in server.asked]
    assert found == ["max-age=31536000, immutable"] * 2 + ["no-cache"] * 3


def test_a_conflict_is_tried_again() -> None:
    """409: another write of the same key is under way, and may yet fail."""
    busy = refusal(409, "ConditionalRequestConflict")
    with ScriptedServer(script(busy, busy, WRITTEN)) as server:
        assert opened(server.url, retry_for=5.0).create("store", b"1")
    assert len(server.asked) == 3
    with ScriptedServer(script(busy, refusal(412))) as server:
        assert not opened(server.url, retry_for=5.0).create("store", b"1")
    with ScriptedServer(script(busy, WRITTEN)) as server:
        assert opened(server.url, retry_for=5.0).swap("head", b"1", TAG) == '"new"\n'
    with ScriptedServer(script(busy, refusal(412))) as server:
        assert opened(server.url, retry_for=5.0).swap("head", b"1", TAG) is None


def test_a_conflict_that_never_ends_is_an_error() -> None:
    with ScriptedServer(script(refusal(409))) as server:
        storage = opened(server.url)
        with pytest.raises(UnreachableError, match="some/prefix/store"):
            storage.create("store", b"1")
        with pytest.raises(UnreachableError, match="some/prefix/head"):
            storage.swap("head", b"1", TAG)


def test_azure_says_conflict_of_what_exists() -> None:
    with ScriptedServer(script(refusal(409, "BlobAlreadyExists"))) as server:
        assert not opened(server.url, "az://container/p").create("store", b"1")
    assert len(server.asked) == 1


def test_closing_ends_the_wait_for_another_try() -> None:
    with ScriptedServer(script(refusal(409))) as server:
        storage = opened(server.url, retry_for=600.0)
        raised: list[BaseException] = []

        def create() -> None:
            try:
                storage.create("store", b"1")
            except CasyncError as error:
                raised.append(error)

        thread = threading.Thread(target=create)
        thread.start()
        while len(server.asked) < 3:
            time.sleep(0.01)
        storage.using(TagForm.BARE).close()
        thread.join()
    assert [type(error) for error in raised] == [StoppedError]


def test_a_refused_condition_is_no_error() -> None:
    for answer in (refusal(412), refusal(404, "NoSuchKey")):
        with ScriptedServer(script(answer)) as server:
            assert opened(server.url).swap("head", b"1", TAG) is None
    with ScriptedServer(script(refusal(412))) as server:
        assert not opened(server.url).create("store", b"1")


def test_a_lost_answer_to_a_create_looks_as_if_another_was_first() -> None:
    """The port says so: the caller looks at the bytes."""
    with ScriptedServer(script(refusal(500), refusal(412))) as server:
        assert not opened(server.url, retry_for=5.0).create("store", b"1")


def test_a_server_without_conditions_is_not_supported() -> None:
    with ScriptedServer(script(refusal(501, "NotImplemented"))) as server:
        storage = opened(server.url)
        with pytest.raises(UnsupportedError, match="conditional writes: it answers 501"):
            storage.create("store", b"1")
        with pytest.raises(UnsupportedError):
            storage.swap("head", b"1", TAG)


def test_busy_servers_are_asked_again() -> None:
    busy = refusal(503, "SlowDown", Retry_After="1")
    whole = reply(200, b"data", ETag='"e"', Last_Modified=DATE)
    with ScriptedServer(script(busy, busy, whole)) as server:
        found = opened(server.url, retry_for=10.0).get("head")
        assert found == (b"data", '"e"\n')
    with (
        ScriptedServer(script(busy)) as server,
        pytest.raises(UnreachableError, match='SlowDown: it is "so"'),
    ):
        opened(server.url).put("head", b"1")


def test_an_object_that_is_replaced_while_it_is_read_is_read_again() -> None:
    whole = reply(200, b"data", ETag='"e"', Last_Modified=DATE)
    with ScriptedServer(script(refusal(412), whole)) as server:
        assert opened(server.url).get("head") == (b"data", '"e"\n')


def test_a_body_that_ends_early_is_an_error() -> None:
    short = reply(200, b"dat", ETag='"e"', Last_Modified=DATE, Content_Length="4")
    with (
        ScriptedServer(script(short)) as server,
        pytest.raises(UnreachableError),
    ):
        opened(server.url).get("head")


def ranged(data: bytes) -> Callable[[Asked], bytes]:
    def answer(asked: Asked) -> bytes:
        if asked.range is None:
            return reply(200, data, ETag='"e"', Last_Modified=DATE)
        start, end = asked.range[0], min(asked.range[1] or len(data), len(data))
        if start >= len(data):
            return refusal(416, "InvalidRange")
        fields = {"Content_Range": f"bytes {start}-{end - 1}/{len(data)}"}
        return reply(206, data[start:end], ETag='"e"', Last_Modified=DATE, **fields)

    return answer


def test_ranges_close_together_take_one_request() -> None:
    data = bytes(range(256)) * 4000
    ranges = [(500_000, 500_100), (0, 10), (131_000, 132_000), (600_000, 600_001)]
    with ScriptedServer(ranged(data)) as server:
        found = opened(server.url).get_ranges("seg/00/x", ranges)
        assert found == [data[start:end] for start, end in ranges]
    assert sorted(asked.range or (0, 0) for asked in server.asked) == [
        (0, 132_000),
        (500_000, 600_001),
    ]


def test_a_server_that_ignores_ranges_is_an_error() -> None:
    whole = reply(200, b"0123456789", ETag='"e"', Last_Modified=DATE)
    with (
        ScriptedServer(script(whole)) as server,
        pytest.raises(RemoteError),
    ):
        opened(server.url).get_ranges("seg/00/x", [(2, 4)])


@pytest.mark.parametrize(
    ("address", "code"),
    [("s3://bucket/p", "NoSuchBucket"), ("az://bucket/p", "ContainerNotFound")],
)
def test_a_missing_bucket_is_no_missing_object(address: str, code: str) -> None:
    with ScriptedServer(script(refusal(404, code))) as server:
        storage = opened(server.url, address)
        tries: list[Callable[[], object]] = [
            lambda: storage.get("head"),
            lambda: storage.get_ranges("head", [(0, 1)]),
            lambda: storage.put("head", b"1"),
            lambda: storage.create("head", b"1"),
            lambda: list(storage.list()),
        ]
        for each in tries:
            with pytest.raises(NotFoundError, match="there is no bucket"):
                each()


@pytest.mark.parametrize("address", ["s3://bucket/p", "az://bucket/p", "gs://bucket/p"])
def test_denials_say_what_was_denied_and_hold_no_secrets(address: str) -> None:
    with ScriptedServer(script(refusal(403, "AccessDenied"))) as server:
        storage = opened(server.url, address)
        tries: list[tuple[str, Callable[[], object]]] = [
            ("read", lambda: storage.get("head")),
            ("write", lambda: storage.put("head", b"1")),
            ("write", lambda: storage.swap("head", b"1", Tag('"a"\n1'))),
            ("list", lambda: list(storage.list("n/"))),
            ("delete", lambda: storage.delete(["head"])),
        ]
        for verb, each in tries:
            with pytest.raises(DeniedError, match=f"may not {verb} .*/p/.*AccessDenied") as raised:
                each()
            assert SECRET not in raised.value.message + raised.value.next_step
            assert SECRET not in f"{raised.value.__cause__!r} {raised.value.__cause__}"


def test_unreachable_servers_hold_no_secrets() -> None:
    storage = opened("http://127.0.0.1:9", "az://bucket/p")
    with pytest.raises(UnreachableError) as raised:
        storage.get("head")
    assert SECRET not in f"{raised.value.message} {raised.value.__cause__!r}"


LISTING = """<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>
<Contents><Key>some/prefix/{}</Key><LastModified>2015-10-21T07:28:00.000Z</LastModified>
<ETag>"x"</ETag><Size>3</Size></Contents></ListBucketResult>"""


def test_a_foreign_key_that_is_no_path_is_named() -> None:
    with (
        ScriptedServer(script(reply(200, LISTING.format("a//b").encode()))) as server,
        pytest.raises(MalformedError, match="a//b"),
    ):
        list(opened(server.url).list())


LOCKED = """<?xml version="1.0"?><DeleteResult><Error><Key>some/prefix/a</Key>
<Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>"""


def test_missing_objects_do_not_keep_others_from_being_deleted() -> None:
    """Azure and Google answer 404, which ends the call of the library."""

    def answer(asked: Asked) -> bytes:
        return refusal(404, "NoSuchKey") if asked.target.endswith("b") else reply(204)

    with ScriptedServer(answer) as server:
        opened(server.url, "gs://bucket/p").delete(["a", "b", "c"])
    assert {asked.target for asked in server.asked} >= {f"/bucket/p%2F{key}" for key in "abc"}


def test_a_locked_object_is_denied() -> None:
    with (
        ScriptedServer(script(reply(200, LOCKED.encode()))) as server,
        pytest.raises(DeniedError, match="may not delete s3://bucket/some/prefix/a"),
    ):
        opened(server.url).delete(["a", "b"])


@pytest.fixture
def slow_url() -> Iterator[str]:
    """A server that takes two seconds to receive two megabytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            left = int(self.headers["content-length"])
            while left > 0:
                left -= len(self.rfile.read(min(100_000, left)))
                time.sleep(0.1)
            self.send_response(200)
            self.send_header("ETag", '"e"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with handling(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_slow_line_may_take_longer_than_an_answer(slow_url: str) -> None:
    opened(slow_url, timeout=0.5).put("seg/00/x", bytes(2_000_000))
