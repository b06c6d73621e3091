"""Jobs from a real web server that misbehaves in every way that was seen in the wild."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from casync.errors import CasyncError, NotFoundError
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.job import JobRow, JobState
from casync.jobs.spec import JobSpec, SourceKind
from casync.ops.download.run import run_job, start_or_continue
from casync.remote.sources.item_sources import ItemSources
from casync.remote.sources.options import SourceOptions
from casync.store.memory import MemoryStore
from tests.support.downloading import PARAMS, contents, options
from tests.support.faulty_web_server import Fault, WebServer
from tests.support.preparing import noise

LARGE = noise(3_000_000, 1)
SMALL = {f"/d/{number:03}.bin": noise(500 * number, number) for number in range(60)}


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer({"/d/large.bin": LARGE, **SMALL}) as server:
        yield server


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def run(store: MemoryStore, source: str, *, attempts: int = 8, **changes: object) -> JobRow:
    fields: dict[str, object] = {"kind": SourceKind.LISTING, "max_conns": 6, "timeout": 5.0}
    what = JobSpec(source, "ds/", chunker=PARAMS, **(fields | changes))  # type: ignore[arg-type]
    claim = start_or_continue(store, what, time.time())
    with claim, ItemSources(what, SourceOptions()) as sources:
        return run_job(store, claim, sources, options(attempts=attempts))


def expected(server: WebServer) -> dict[str, bytes]:
    return {f"ds/{path.removeprefix('/d/')}": data for path, data in server.objects.items()}


def test_a_folder_of_a_web_server_becomes_names(store: MemoryStore, server: WebServer) -> None:
    """D2, D7, H2: a listing of plain HTTP; a second run fetches nothing."""
    row = run(store, f"{server.url}/d/")
    assert (row.counts.finished, row.counts.failed) == (61, 0)
    assert contents(store) == expected(server)
    server.requests.clear()
    row = run(store, f"{server.url}/d/")
    assert (row.counts.finished, row.counts.skipped) == (0, 61)
    assert sum(server.fetched().values()) == 0


def test_a_prefix_of_a_folder_becomes_names(store: MemoryStore, server: WebServer) -> None:
    """D7: a source that ends with `*` lists what begins so."""
    row = run(store, f"{server.url}/d/01")
    assert sorted(contents(store)) == [f"ds/{number:03}.bin" for number in range(10, 20)]
    assert row.total == 10


def test_a_template_becomes_names(store: MemoryStore, server: WebServer) -> None:
    """D3: ranges, and a missing object among them is a failure of one."""
    del server.objects["/d/017.bin"]
    row = run(store, f"{server.url}/d/{{000..029}}.bin", kind=SourceKind.TEMPLATE)
    assert (row.total, row.counts.finished, row.counts.failed) == (30, 29, 1)
    (fault,) = store.jobs.faults(row.id)
    assert (fault.index, fault.name, fault.status) == (17, "ds/017.bin", 404)
    assert fault.message == "request failed with 404 status code (Not Found)"


def test_a_host_gets_at_most_its_share_of_requests(store: MemoryStore, server: WebServer) -> None:
    run(store, f"{server.url}/d/{{000..059}}.bin", kind=SourceKind.TEMPLATE, max_conns=32)
    assert server.most <= 8


def test_random_errors_and_resets_fail_nothing(store: MemoryStore, server: WebServer) -> None:
    seeded = random.Random(3)

    def weather(path: str) -> Fault | None:
        if path.endswith("/"):
            return None
        chance = seeded.random()
        if chance < 0.1:
            return Fault(status=seeded.choice([500, 502, 503, 429]))
        if chance < 0.2:
            return Fault(cut_after=seeded.randrange(20_000))
        return None

    server.every = weather
    row = run(store, f"{server.url}/d/", attempts=30)
    assert (row.counts.finished, row.counts.failed) == (61, 0)
    assert contents(store) == expected(server)


def test_a_reset_goes_on_at_the_same_byte(store: MemoryStore, server: WebServer) -> None:
    """D12: by Range and If-Range."""
    server.fail("/d/large.bin", [Fault(cut_at=1_000_000), Fault(cut_at=2_000_000)])
    run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT)
    assert contents(store) == {"ds/large.bin": LARGE}
    assert server.fetched()["/d/large.bin"] <= len(LARGE) + 200_000
    assert [request.status for request in server.requests] == [200, 206, 206]


def test_a_server_that_ignores_ranges_sends_everything_again(
    store: MemoryStore, server: WebServer
) -> None:
    server.ranges = False
    server.fail("/d/large.bin", [Fault(cut_at=1_000_000)])
    row = run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT)
    assert row.counts.finished == 1
    assert contents(store) == {"ds/large.bin": LARGE}


def test_a_range_of_another_version_is_not_used(store: MemoryStore, server: WebServer) -> None:
    other = noise(3_000_000, 2)

    def change() -> None:
        server.objects["/d/large.bin"] = other

    server.fail("/d/large.bin", [Fault(cut_at=1_000_000, then=change)])
    run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT)
    assert contents(store) == {"ds/large.bin": other}


def test_a_range_that_lies_about_its_offset_is_not_used(
    store: MemoryStore, server: WebServer
) -> None:
    lie = Fault(fields={"Content-Range": f"bytes 5-2999999/{len(LARGE)}"})
    server.fail("/d/large.bin", [Fault(cut_at=1_000_000), lie])
    run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT)
    assert contents(store) == {"ds/large.bin": LARGE}


def test_a_range_of_an_object_of_another_size_is_not_used(
    store: MemoryStore, server: WebServer
) -> None:
    """Even if it has the ETag that was asked for."""
    lie = Fault(fields={"Content-Range": f"bytes 1000000-2999999/{len(LARGE) + 1}"})
    server.fail("/d/large.bin", [Fault(cut_at=1_000_000), lie])
    run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT)
    assert contents(store) == {"ds/large.bin": LARGE}
    assert [request.range for request in server.requests] == ["", "bytes=1000000-", ""]


def test_a_body_that_is_shorter_than_announced_is_never_published(
    store: MemoryStore, server: WebServer
) -> None:
    lie = {"Content-Length": "10000000"}
    server.every = lambda path: Fault(fields=lie, body=b"x" * 5000, no_range=True)
    row = run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT, attempts=3)
    assert (row.counts.finished, row.counts.failed) == (0, 1)
    assert store.jobs.faults(row.id)[0].kind is ObjectFaultKind.SHORT_BODY
    assert not contents(store)


def test_a_size_unlike_the_listed_one_is_a_short_body(
    store: MemoryStore, server: WebServer
) -> None:
    """The listing says more bytes than the answer, and nothing says that the object changed."""
    server.etags = server.dates = False
    server.fail("/d/large.bin", [Fault(body=LARGE[:1000])] * 3)
    row = run(store, f"{server.url}/d/", attempts=3)
    (fault,) = store.jobs.faults(row.id)
    assert (fault.name, fault.kind) == ("ds/large.bin", ObjectFaultKind.SHORT_BODY)
    assert "ds/large.bin" not in contents(store)


def test_an_end_without_an_announced_length_is_compared_with_the_listing(
    store: MemoryStore, server: WebServer
) -> None:
    """Where the end of the connection is the end of the body, a reset looks like success."""
    server.fail("/d/large.bin", [Fault(fields={"Content-Length": ""}, cut_after=100_000)])
    row = run(store, f"{server.url}/d/")
    assert row.counts.failed == 0
    assert contents(store) == expected(server)


def test_a_body_that_stops_coming_is_a_stall(store: MemoryStore, server: WebServer) -> None:
    server.fail("/d/large.bin", [Fault(hang=True)])
    row = run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT, timeout=0.5)
    assert row.counts.finished == 1
    server.every = lambda path: Fault(hang=True)
    row = run(store, f"{server.url}/d/009.bin", kind=SourceKind.OBJECT, timeout=0.3, attempts=2)
    (fault,) = store.jobs.faults(row.id)
    assert fault.kind is ObjectFaultKind.STALL


def test_a_slow_body_takes_longer_than_the_timeout(store: MemoryStore, server: WebServer) -> None:
    """The timeout is for stalls; what flows may take as long as it likes."""
    server.fail("/d/040.bin", [Fault(pause=0.1, piece=1000)])
    row = run(store, f"{server.url}/d/040.bin", kind=SourceKind.OBJECT, timeout=1.0)
    assert row.counts.finished == 1
    assert len(server.lines) == 1


def test_redirects_are_followed(store: MemoryStore, server: WebServer) -> None:
    with WebServer({"/moved/large.bin": LARGE}) as other:
        location = {"Location": f"{other.url}/moved/large.bin"}
        server.every = lambda path: Fault(status=302, fields=location)
        run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT)
    assert contents(store) == {"ds/large.bin": LARGE}


def test_a_file_that_is_compressed_stays_as_it_is(store: MemoryStore, server: WebServer) -> None:
    server.objects["/d/a.tar.gz"] = noise(4000, 9)
    server.every = lambda path: Fault(fields={"Content-Encoding": "gzip"})
    run(store, f"{server.url}/d/a.tar.gz", kind=SourceKind.OBJECT)
    assert contents(store) == {"ds/a.tar.gz": noise(4000, 9)}


def test_an_address_with_a_signature_travels_as_it_is(
    store: MemoryStore, server: WebServer
) -> None:
    query = "?X-Amz-Signature=ab%2Fcd+ef&x=%7e"
    row = run(store, f"{server.url}/d/large.bin{query}", kind=SourceKind.OBJECT)
    assert row.counts.finished == 1
    assert [line for line in server.lines if query in line] == server.lines


def test_an_expired_signature_fails_one_object_and_shows_no_secret(
    store: MemoryStore, server: WebServer
) -> None:
    server.every = lambda path: Fault(status=403) if "003" in path else None
    source = f"{server.url}/d/{{000..009}}.bin?X-Amz-Signature=secret"
    row = run(store, source, kind=SourceKind.TEMPLATE)
    assert (row.counts.finished, row.counts.failed) == (9, 1)
    (fault,) = store.jobs.faults(row.id)
    assert (fault.status, fault.attempts) == (403, 1)
    assert "secret" not in f"{fault}{row.spec}{[*store.jobs.rows()]}"


def test_an_empty_listing_is_no_success(store: MemoryStore, server: WebServer) -> None:
    server.objects.clear()
    with pytest.raises(NotFoundError):
        run(store, f"{server.url}/d/")


def test_a_listing_that_breaks_off_starts_over(store: MemoryStore, server: WebServer) -> None:
    server.fail("/d/", [Fault(cut_after=500), Fault(status=503)])
    row = run(store, f"{server.url}/d/")
    assert row.total == row.counts.finished == 61


def test_a_listing_that_always_breaks_off_fails_the_job(
    store: MemoryStore, server: WebServer
) -> None:
    server.every = lambda path: Fault(cut_after=500)
    with pytest.raises(CasyncError):
        run(store, f"{server.url}/d/", attempts=2)
    (row,) = store.jobs.rows()
    assert (row.state, row.total) == (JobState.ABORTED, -1)
    assert row.failure
    assert not contents(store)


def test_a_listing_without_an_end_is_given_up(store: MemoryStore, server: WebServer) -> None:
    page = (
        b'<html><title>Index of /</title><body><pre><a href="more/">more/</a></pre></body></html>'
    )
    server.every = lambda path: Fault(body=page) if path.endswith("/") else None
    with pytest.raises(CasyncError):
        run(store, f"{server.url}/d/", attempts=2)


def test_a_checksum_in_the_header_is_verified(store: MemoryStore, server: WebServer) -> None:
    wrong = {"Repr-Digest": f"sha-256=:{'A' * 43}=:"}
    server.fail("/d/large.bin", [Fault(fields=wrong)])
    row = run(store, f"{server.url}/d/large.bin", kind=SourceKind.OBJECT)
    assert row.counts.finished == 1
    server.every = lambda path: Fault(fields=wrong)
    row = run(store, f"{server.url}/d/005.bin", kind=SourceKind.OBJECT, attempts=2)
    (fault,) = store.jobs.faults(row.id)
    assert fault.kind is ObjectFaultKind.CHECKSUM


@pytest.mark.parametrize("kind", [SourceKind.LISTING, SourceKind.OBJECT])
def test_a_file_that_was_replaced_by_an_older_one_is_fetched(
    store: MemoryStore, server: WebServer, kind: SourceKind
) -> None:
    """D11: its server has no ETags, and calls everything up to the time of before unmodified."""
    server.etags = False
    server.objects = {"/d/x": b"of today"}
    source = f"{server.url}/d/" if kind is SourceKind.LISTING else f"{server.url}/d/x"
    run(store, source, kind=kind)
    assert run(store, source, kind=kind).counts.skipped == 1
    server.objects["/d/x"] = b"restored"
    server.modified -= 86400
    assert run(store, source, kind=kind).counts.finished == 1
    assert contents(store) == {"ds/x": b"restored"}
    server.objects["/d/x"] = b"of the same time"
    assert run(store, source, kind=kind).counts.finished == 1
    assert contents(store) == {"ds/x": b"of the same time"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(302, {"Location": "file:///etc/passwd"}),
        Fault(302, {"Location": "s3://bucket/key"}),
        Fault(302, {"Location": "/d/odd"}),
        Fault(302),
        Fault(fields={"Content-Encoding": "gzip", "ETag": ""}),
        Fault(fields={"X-Long": "x" * 2_000_000}),
        Fault(fields={"Content-Length": "5", "CONTENT-LENGTH": "6"}),
    ],
)
def test_an_answer_that_no_other_attempt_mends_fails_at_once(
    store: MemoryStore, server: WebServer, fault: Fault
) -> None:
    """D10: the others are fetched, and no note says that the host is waited for."""
    server.objects["/d/odd"] = b"odd"
    server.every = lambda path: fault if path == "/d/odd" else None
    row = run(store, f"{server.url}/d/")
    assert row.counts.failed == 1
    (failed,) = store.jobs.faults(row.id)
    assert (failed.name, failed.attempts) == ("ds/odd", 1)


@pytest.mark.parametrize("link", ["a%2fb", "%00", "..%2fx", "a%2fb/"])
def test_an_odd_link_fails_alone_and_nothing_is_removed(
    store: MemoryStore, server: WebServer, link: str
) -> None:
    """D7, D10: one entry of a page must not keep a folder from being downloaded."""
    server.objects = {"/d/x": b"x", "/d/gone": b"gone", "/d/below/y": b"y"}
    run(store, f"{server.url}/d/")
    del server.objects["/d/gone"]
    whole = server.page("/d/")
    page = whole.replace("<pre>", f'<pre><a href="{link}">odd</a>\n').encode()
    server.every = lambda path: Fault(body=page) if path == "/d/" else None
    row = run(store, f"{server.url}/d/", sync=True)
    assert (row.counts.failed, row.counts.skipped, row.counts.removed) == (1, 2, 0)
    (fault,) = store.jobs.faults(row.id)
    assert fault.url == f"{server.url}/d/{link.rstrip('/')}"
    assert (fault.kind, fault.attempts) == (ObjectFaultKind.NAME, 1)
    assert "ds/gone" in contents(store)
