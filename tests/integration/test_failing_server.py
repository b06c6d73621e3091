"""A server that is slow, disconnects and comes back."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from casync.errors import CasyncError, RemoteProtocolError, UnreachableError
from casync.ids import Kind
from casync.limits import KIB, MIB
from casync.names.name import Name, Ref
from casync.objects.codec import Packer
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.remote.server.write_client import WritingClient
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from tests.support import peer as p
from tests.support.peer import Answer, Fault, Peer, Seen, sends
from tests.support.proving_client import IDS, OBJECTS, WHOLE, always, connect, proved

FAST: dict[str, Any] = {"window": 0.3, "min_rate": 20 * KIB, "answer_seconds": 1.0}


@pytest.fixture
def peer() -> Iterator[Peer]:
    store = MemoryStore()
    store.commit(Batch(objects=OBJECTS))
    with Peer(store) as peer:
        yield peer


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
START = p.head(Answer(200, p.JSON, b""), length=-1)
SLOW: dict[str, tuple[Fault, type[CasyncError]]] = {
    "silence": (p.says_nothing, UnreachableError),
    "stall after the head": (p.stalls(0), UnreachableError),
    "stall in the body": (p.stalls(0.5), UnreachableError),
    "trickle": (p.trickles(0.01), UnreachableError),
    "trickling head": (p.trickles(0.01, from_head=True), UnreachableError),
    "endless head": (p.repeats(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 999), RemoteProtocolError),
    "endless field": (p.repeats(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 9999), RemoteProtocolError),
    "continue for ever": (p.repeats(CONTINUE, CONTINUE * 99), RemoteProtocolError),
    "endless body": (p.repeats(START, b" " * 9999), RemoteProtocolError),
}


@pytest.mark.parametrize("name", SLOW)
def test_servers_that_never_finish_are_given_up(peer: Peer, name: str) -> None:
    fault, kind = SLOW[name]
    peer.fault = always(fault)
    with connect(peer, **(FAST if kind is UnreachableError else {})) as client:
        with pytest.raises(kind):
            client.info()
        with pytest.raises(kind):
            list(client.get(Kind.CHUNK, IDS[:1] * 300))
        with pytest.raises(kind):
            client.stat(Kind.CHUNK, IDS[:1] * 300)
        assert client.traffic.received < 20 * MIB


def test_a_small_answer_has_a_deadline(peer: Peer) -> None:
    peer.fault = always(p.trickles(0.02))
    client = connect(peer, answer_seconds=0.2, min_rate=0.0)
    with client, pytest.raises(UnreachableError, match="in time"):
        client.info()


LONG: dict[str, Any] = {"window": 600.0, "answer_seconds": 600.0, "connect_seconds": 600.0}
"""Limits that a test would notice."""

STALLS = ["silence", "stall after the head", "stall in the body", "trickle", "trickling head"]


def hasty(url: str, **options: Any) -> WritingClient:
    """A client with a short `retry_for`, whatever the other limits are."""
    return WritingClient(url, TransportOptions(retry_for=0.5, **{**LONG, **options}))


@contextmanager
def soon() -> Iterator[None]:
    """Requests in the block must fail by `retry_for`, long before any other limit."""
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        yield
    assert time.monotonic() - started < 60


def test_retry_for_bounds_a_request_that_is_made_once(peer: Peer) -> None:
    peer.fault = always(p.says_nothing)
    with hasty(peer.url) as client, soon():
        client.remove([Ref(name=Name("x"))])
    assert len(peer.seen) == 1


@pytest.mark.parametrize("name", STALLS)
def test_retry_for_bounds_waiting_for_an_answer(peer: Peer, name: str) -> None:
    peer.fault = always(SLOW[name][0])
    with hasty(peer.url) as client:
        with soon():
            client.info()
        with soon():
            list(client.get(Kind.CHUNK, IDS[:1] * 300))
        with soon():
            client.stat(Kind.CHUNK, IDS[:1] * 300)


def test_retry_for_bounds_a_stall_after_progress(peer: Peer) -> None:
    peer.fault = always(p.stalls(0.5))
    with hasty(peer.url) as client, soon():
        found = client.get(Kind.CHUNK, IDS)
        next(found)
        list(found)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_retry_for_bounds_connecting(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        full = [socket.socket() for _ in range(4 if scheme == "http" else 0)]
        for waiting in full:  # the queue of connections is full: more get no answer
            waiting.setblocking(False)
            waiting.connect_ex(address)
        url = f"{scheme}://127.0.0.1:{address[1]}"
        with hasty(url, insecure=True) as client, soon():
            client.info()
        for waiting in full:
            waiting.close()


def test_retry_for_bounds_sending() -> None:
    large = Packer().pack_new(Kind.CHUNK, random.Random(1).randbytes(16 * MIB))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with hasty(url) as client, soon():
            client.send("0" * 32, [large], str)


def test_a_slow_server_is_not_given_up_while_a_large_object_arrives() -> None:
    store = MemoryStore()
    (large,) = [Packer().pack_new(Kind.CHUNK, random.Random(1).randbytes(64 * KIB))]
    store.commit(Batch(objects=[large]))

    def fault(connection: socket.socket, seen: Seen, honest: Answer) -> None:
        connection.sendall(p.head(honest))
        for at in range(0, len(honest.body), 4 * KIB):
            connection.sendall(honest.body[at : at + 4 * KIB])
            time.sleep(0.1)

    with Peer(store, always(fault)) as peer, hasty(peer.url) as client:
        assert list(client.get(Kind.CHUNK, [large.id])) == [large]
    assert len(peer.seen) == 1


def test_a_slow_consumer_does_not_make_the_server_time_out(peer: Peer) -> None:
    ids = IDS[1:2] * 1000
    with connect(peer, window=1.0, min_rate=1.0) as client:
        answers = client.get(Kind.CHUNK, ids)
        next(answers)
        time.sleep(1.2)  # the window passes while the client does not read
        assert sum(1 for _ in answers) == 999


AGAIN: dict[str, Fault] = {
    "500": sends(Answer(500, "text/plain", b"oops")),
    "500 of ours": sends(p.problem(500, "error", "oops")),
    "502": sends(Answer(502, "text/html", b"")),
    "503": sends(p.problem(503, "unreachable", "busy"), "Retry-After: 3"),
    "429": sends(Answer(429, "", b""), "Retry-After: 1"),
    "408": sends(Answer(408, "", b"")),
    "reset at once": p.hangs_up,
    "closed in the body": p.breaks_off(0.5),
    "reset in the body": p.breaks_off(0.5, reset=True),
    "closed body without a length": p.breaks_off(0.5, closed=True),
    "closed before the end frame": p.breaks_off(0.99),
}


@pytest.mark.parametrize("name", AGAIN)
def test_failures_are_retried(peer: Peer, name: str) -> None:
    peer.fault = lambda seen: AGAIN[name] if seen.number == 0 else None
    waits: list[float] = []
    options = TransportOptions(retry_for=60)
    with RemoteClient(peer.url, options, pause=waits.append, jitter=lambda: 1.0) as client:
        assert proved(client) == WHOLE
    assert len(peer.seen) == 2
    assert waits == [{"503": 3.0, "429": 1.0}.get(name, 0.25)]
    if "body" in name:
        asked = [seen.ids for seen in peer.seen]
        assert asked[1] == IDS[-len(asked[1]) :]
        assert len(asked[1]) < len(IDS)


@pytest.mark.parametrize("seed", range(5))
def test_half_of_all_requests_fail(peer: Peer, seed: int) -> None:
    chance = random.Random(seed)
    faults = [*AGAIN.values(), *[None] * len(AGAIN)]

    def fault(seen: Seen) -> Fault | None:
        chosen = chance.choice(faults)
        unseen = seen.target.endswith("stat") and chosen is AGAIN["closed body without a length"]
        return None if unseen else chosen

    peer.fault = fault
    with connect(peer, retry_for=60) as client:
        for _ in range(10):
            assert proved(client) == WHOLE
            assert None not in client.stat(Kind.CHUNK, IDS)


def test_nearly_all_requests_fail(peer: Peer) -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    peer.fault = always(AGAIN["503"])
    options = TransportOptions(retry_for=60)
    with RemoteClient(peer.url, options, pause=pause, clock=lambda: now[0]) as client:
        with pytest.raises(UnreachableError) as caught:
            proved(client)
        assert caught.value.message == f"{peer.url}: busy"
    assert 50 < now[0] <= 60
    assert len(peer.seen) >= 6


def test_a_wait_beyond_the_budget_ends_at_once(peer: Peer) -> None:
    peer.fault = always(sends(Answer(503, "", b""), "Retry-After: 999999999"))
    with connect(peer, retry_for=60) as client, pytest.raises(UnreachableError):
        proved(client)
    assert len(peer.seen) == 1


def test_a_restarted_server_is_used_again() -> None:
    store = MemoryStore()
    store.commit(Batch(objects=OBJECTS))
    first = Peer(store, always(p.breaks_off(0.4)))
    second: list[Peer] = []

    def pause(seconds: float) -> None:
        if not second:
            first.__exit__(None, None, None)
        if len(waits) == 3:
            second.append(Peer(store, port=first.port).__enter__())
        waits.append(seconds)

    waits: list[float] = []
    with first:
        options = TransportOptions(retry_for=60)
        with RemoteClient(first.url, options, pause=pause) as client:
            assert proved(client) == WHOLE
    second[0].__exit__(None, None, None)
    assert len(waits) == 4


def test_a_wrong_address_is_an_error_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    waits: list[float] = []

    def clock() -> float:
        return sum(waits)

    with RemoteClient(f"http://127.0.0.1:{port}", pause=waits.append, clock=clock) as client:
        for _ in range(2):  # a server that starts is waited for once
            with pytest.raises(UnreachableError, match="Connection refused"):
                client.info()
    assert 1 < sum(waits) < 3
    waits.clear()

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # a real one would query the network
    client = RemoteClient("http://nowhere.invalid", pause=waits.append)
    with client, pytest.raises(UnreachableError, match="unknown host"):
        client.info()
    assert waits == []
