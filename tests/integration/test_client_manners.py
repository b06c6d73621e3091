"""The client with honest servers: secrets, TLS, proxies, rate limits, counts, closing."""

from __future__ import annotations

import gc
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httptools import HttpResponseParser

import casync
from casync.errors import RemoteError, StoppedError, UnreachableError, UsageError
from casync.ids import Kind, ManifestId
from casync.limits import KIB
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.remote.http.rate_limit import RateLimit
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.remote.server.write_client import WritingClient
from casync.store.base import Batch, Traffic
from casync.store.memory import MemoryStore
from tests.support import peer as p
from tests.support.peer import Answer, Peer, sends
from tests.support.proving_client import IDS, OBJECTS, WHOLE, always, connect, proved
from tests.support.pulling import noise, put

TLS = Path(__file__).parent.parent / "vectors" / "tls"
SECRET = "cas1_secret"


def stocked() -> MemoryStore:
    store = MemoryStore()
    store.commit(Batch(objects=OBJECTS))
    return store


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer(stocked()) as peer:
        yield peer


@pytest.fixture
def secure_peer() -> Iterator[Peer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    with Peer(stocked(), tls=context) as peer:
        yield peer


class TestRequests:
    def test_requests_have_a_user_agent_and_refuse_content_codings(self, peer: Peer) -> None:
        with connect(peer) as client:
            proved(client)
        (seen,) = peer.seen
        assert seen.method == "POST"
        assert seen.fields == {
            "host": f"127.0.0.1:{peer.port}",
            "user-agent": "casync",
            "accept-encoding": "identity",
            "accept": p.FRAMES,
            "content-type": "application/vnd.casync.ids",
            "content-length": str(len(seen.body)),
        }

    def test_a_prefix_of_the_path_is_kept(self, peer: Peer) -> None:
        with RemoteClient(peer.url + "/mirror/one/") as client, pytest.raises(RemoteError):
            client.stat(Kind.CHUNK, IDS)
        assert peer.seen[0].target == "/mirror/one/v1/objects/stat"

    def test_no_request_or_answer_outlives_its_exchange(self, peer: Peer) -> None:
        """Cycles would keep both until Python looks for cycles, which is rare: megabytes."""

        def exchanges() -> int:
            kept = (httpx.Response, httpx.Request, HttpResponseParser)
            return sum(isinstance(thing, kept) for thing in gc.get_objects())

        with connect(peer) as client:
            proved(client)
            gc.collect()
            before = exchanges()
            gc.disable()
            try:
                proved(client)
                client.stat(Kind.CHUNK, IDS)
                client.info()
                assert exchanges() == before
            finally:
                gc.enable()

    def test_one_connection_serves_many_requests(self, peer: Peer) -> None:
        with connect(peer) as client:
            for _ in range(5):
                proved(client)
                client.stat(Kind.CHUNK, IDS)
                client.info()
        assert peer.connections == 1

    def test_leaving_early_costs_only_the_connection(self, peer: Peer) -> None:
        with connect(peer) as client:
            answers = client.get(Kind.CHUNK, IDS[1:2] * 1000)
            next(answers)
            answers.close()  # type: ignore[attr-defined]
            assert proved(client) == WHOLE
        assert peer.connections == 2

    def test_traffic_is_counted_to_the_byte(self, peer: Peer) -> None:
        with connect(peer) as client:
            proved(client)
            client.info()
            requests, sent, received, *_ = client.traffic
        assert requests == 2
        assert (sent, received) == (peer.received, peer.sent)

    def test_threads_share_a_client(self, peer: Peer) -> None:
        found: list[dict[Any, bytes]] = []
        with connect(peer) as client:
            threads = [
                threading.Thread(target=lambda: found.append(proved(client))) for _ in range(16)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert client.traffic == Traffic(16, peer.received, peer.sent)
        assert found == [WHOLE] * 16


def test_an_unfinished_proof_is_polled_once_a_second() -> None:
    item = {"hash": "0" * 64, "length": 1, "created": 1}
    waits: list[float] = []

    def fault(seen: p.Seen) -> p.Fault:
        if seen.number < 3:
            return sends(Answer(202, p.JSON, b'{"checked": 5}'), "Connection: close")
        return sends(Answer(200, p.JSON, json.dumps(item).encode()), "Connection: close")

    with (
        Peer(MemoryStore(), fault) as peer,
        WritingClient(peer.url, pause=waits.append, clock=lambda: 0.0) as client,
    ):
        client.publish("0" * 32, ManifestId(bytes(32)))
        assert len(peer.seen) == 4
    assert waits == [1.0] * 3


def test_a_small_server_needs_one_request_for_hashes_and_one_for_names(tmp_path: Path) -> None:
    store = MemoryStore()
    ident = put(store, noise(1, 300_000))
    store.commit(Batch(names=[NameUpdate(Name("vm"), ident)]))
    needed = {("POST", "/v1/objects/fetch")}
    with Peer(store) as peer:
        casync.pull(ident.hex(), tmp_path / "hash", servers=[peer.url])
        assert {(seen.method, seen.target) for seen in peer.seen} == needed
        casync.pull("vm", tmp_path / "name", servers=[peer.url])
        needed.add(("GET", "/v1/manifests/vm"))
        assert {(seen.method, seen.target) for seen in peer.seen} == needed


class TestSecrets:
    def test_a_token_is_sent_only_to_its_origin(self, peer: Peer) -> None:
        with Peer(stocked()) as other:
            options = TransportOptions(tokens={peer.url: SECRET})
            for url in (peer.url, other.url):
                with RemoteClient(url, options) as client:
                    proved(client)
            assert peer.seen[0].fields["authorization"] == f"Bearer {SECRET}"
            assert SECRET not in str(other.seen)
        assert SECRET not in repr(options)

    def test_a_redirect_does_not_forward_the_token(self, peer: Peer) -> None:
        with Peer(stocked()) as thief:
            peer.fault = always(sends(Answer(302, "", b""), f"Location: {thief.url}/v1/info"))
            options = TransportOptions(tokens={peer.url: SECRET})
            with RemoteClient(peer.url, options) as client, pytest.raises(RemoteError):
                client.info()
            assert thief.seen == []

    @pytest.mark.parametrize("insecure_http", [False, True])
    def test_a_token_is_not_sent_over_plain_http(self, insecure_http: bool) -> None:
        url = "http://server.example"
        options = TransportOptions(tokens={url: SECRET}, insecure_http=insecure_http)
        if insecure_http:
            RemoteClient(url, options).close()
        else:
            with pytest.raises(UsageError, match="in the clear"):
                RemoteClient(url, options)
        RemoteClient("http://other.example", options).close()

    def test_a_proxy_is_another_machine(self) -> None:
        options = TransportOptions(
            tokens={"http://127.0.0.1": SECRET}, proxy="http://proxy.example"
        )
        with pytest.raises(UsageError, match="in the clear"):
            RemoteClient("http://127.0.0.1", options)

    @pytest.mark.parametrize("token", ["", "two words", "a\r\nX: y", "a\n", "\u00e9", "\x00"])
    def test_malformed_tokens_are_refused(self, token: str) -> None:
        with pytest.raises(UsageError) as caught:
            RemoteClient("https://h", TransportOptions(tokens={"https://h": token}))
        assert not token or token not in caught.value.message

    def test_proxies_in_the_environment_are_ignored(
        self, peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        with connect(peer) as client:
            assert proved(client) == WHOLE
        assert "authorization" not in peer.seen[0].fields


class TestTls:
    def test_a_given_authority_is_trusted(self, secure_peer: Peer) -> None:
        with connect(secure_peer, ca=TLS / "ca.pem") as client:
            assert proved(client) == WHOLE
            assert client.warnings == []
            assert client.traffic == Traffic(1, secure_peer.received, secure_peer.sent)

    def test_an_unknown_authority_is_refused_at_once(self, secure_peer: Peer) -> None:
        client = connect(secure_peer, retry_for=60)
        with client, pytest.raises(RemoteError, match="cannot be trusted") as caught:
            client.info()
        assert not isinstance(caught.value, UnreachableError)
        assert "--ca" in caught.value.next_step

    def test_a_certificate_for_another_host_is_refused(self, secure_peer: Peer) -> None:
        options = TransportOptions(ca=TLS / "ca.pem")
        url = f"https://localhost:{secure_peer.port}"
        with (
            RemoteClient(url, options) as client,
            pytest.raises(RemoteError, match="for another host"),
        ):
            client.info()

    def test_insecure_verifies_nothing_and_warns(self, secure_peer: Peer) -> None:
        with connect(secure_peer, insecure=True) as client:
            assert proved(client) == WHOLE
            assert secure_peer.url in client.warnings[0]

    def test_plain_http_at_an_https_address_is_an_error(self, peer: Peer) -> None:
        options = TransportOptions(insecure=True, connect_seconds=0.3, retry_for=0)
        client = RemoteClient(f"https://127.0.0.1:{peer.port}", options)
        with client, pytest.raises(RemoteError):
            client.info()

    @pytest.mark.parametrize("content", [None, b"", b"garbage"])
    def test_authorities_that_cannot_be_read(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=r"ca\.pem"):
            RemoteClient("https://h", TransportOptions(ca=path))


class TestProxy:
    def test_requests_go_through_the_proxy(self, peer: Peer) -> None:
        options = TransportOptions(proxy=peer.url)
        with RemoteClient("http://elsewhere.example:81", options) as client:
            assert proved(client) == WHOLE
        assert peer.seen[0].target == "http://elsewhere.example:81/v1/objects/fetch"
        assert peer.seen[0].fields["host"] == "elsewhere.example:81"

    def test_a_proxy_that_refuses_tunnels_is_an_error(self, peer: Peer) -> None:
        peer.fault = always(sends(Answer(403, "", b"")))
        client = RemoteClient("https://elsewhere.example", TransportOptions(proxy=peer.url))
        with client, pytest.raises(RemoteError, match="proxy"):
            client.info()
        assert peer.seen[0].method == "CONNECT"

    @pytest.mark.parametrize("proxy", ["socks5://h:1", "h:1", "http://user:secret@h:1", ""])
    def test_malformed_proxies_are_refused(self, proxy: str) -> None:
        with pytest.raises(UsageError, match="proxy") as caught:
            RemoteClient("http://h", TransportOptions(proxy=proxy))
        assert "secret" not in caught.value.message


class TestRateLimit:
    def test_bytes_are_limited_to_a_rate(self) -> None:
        now, slept = [100.0], []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            now[0] += seconds

        limit = RateLimit(1000, clock=lambda: now[0], sleep=sleep)
        for _ in range(10):
            limit.take(500)
        assert now[0] == pytest.approx(105.0)
        now[0] += 60  # idle time is not saved up
        limit.take(1000)
        assert slept[-1] == pytest.approx(1.0)

    def test_the_limit_applies_to_all_clients_together(self, peer: Peer) -> None:
        now, lock = [0.0], threading.Lock()

        def sleep(seconds: float) -> None:
            with lock:
                now[0] += seconds

        limit = RateLimit(50 * KIB, clock=lambda: now[0], sleep=sleep)
        options = TransportOptions(limit=limit)
        total = 0
        for _ in range(3):
            with RemoteClient(peer.url, options) as client:
                assert proved(client) == WHOLE
                total += client.traffic.received + client.traffic.sent
        assert now[0] == pytest.approx(total / (50 * KIB))


class TestClosing:
    @pytest.mark.parametrize("fault", [p.says_nothing, p.stalls(0), p.stalls(0.5)])
    def test_closing_wakes_a_request_that_waits_for_the_server(
        self, peer: Peer, fault: p.Fault
    ) -> None:
        asked = threading.Event()

        def notice(seen: p.Seen) -> p.Fault:
            asked.set()
            return fault

        peer.fault = notice
        client = RemoteClient(peer.url)
        errors: list[BaseException] = []
        thread = threading.Thread(target=lambda: _collect(client, errors))
        thread.start()
        assert asked.wait(60)
        client.close()
        thread.join(60)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [StoppedError]

    def test_closing_wakes_a_request_that_waits_for_a_retry(self, peer: Peer) -> None:
        asked = threading.Event()

        def refuse(seen: p.Seen) -> p.Fault:
            asked.set()
            return sends(Answer(503, "", b""), "Retry-After: 50")

        peer.fault = refuse
        client = RemoteClient(peer.url)
        errors: list[BaseException] = []
        thread = threading.Thread(target=lambda: _collect(client, errors))
        thread.start()
        assert asked.wait(60)
        client.close()
        thread.join(40)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [StoppedError]

    def test_a_closed_client_refuses_requests(self, peer: Peer) -> None:
        client = RemoteClient(peer.url)
        client.info()
        client.close()
        with pytest.raises(StoppedError):
            client.info()
        client.close()
        assert len(peer.seen) == 1


def _collect(client: RemoteClient, errors: list[BaseException]) -> None:
    try:
        proved(client)
    except BaseException as error:
        errors.append(error)
