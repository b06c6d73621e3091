"""Starting, dying and stopping: a real supervisor with real workers."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from casync.ids import ChunkId, Kind, chunk_id
from casync.objects.codec import Packed
from casync.objects.delta import Singles
from casync.store.lmdb.store import LmdbStore
from casync.wire.frames import Answer, FrameReader, Status
from casync.wire.requests import IDS_TYPE, encode_ids
from tests.support.serving import (
    READY_SECONDS,
    Server,
    command,
    put_file,
    read_answer,
    serving,
    until,
)

DATA = os.urandom(16 * 1024 * 1024)
CHUNK = 65536


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lifecycle") / "store"
    with LmdbStore.open(path, create=True, map_bytes=2**30) as store:
        put_file(store, DATA, name="large", size=CHUNK)
    return path


def get(server: Server, path: str, fields: str = "") -> tuple[int, dict[str, str], bytes]:
    with server.connect() as sock:
        host = f"Host: 127.0.0.1:{server.port}\r\n"
        sock.sendall(f"GET {path} HTTP/1.1\r\n{host}{fields}\r\n".encode())
        return read_answer(sock)


def begin(server: Server, buffer: int = 4096) -> socket.socket:
    """A connection with a running answer that the client does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(READY_SECONDS)
    sock.connect(("127.0.0.1", server.port))
    host = f"Host: 127.0.0.1:{server.port}\r\n"
    sock.sendall(f"GET /v1/files/large HTTP/1.1\r\n{host}\r\n".encode())
    assert sock.recv(10) == b"HTTP/1.1 2"
    return sock


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- Starting -------------------------------------------------------------------------------------


def test_each_address_is_printed_once_it_listens(store: Path, tmp_path: Path) -> None:
    unix = tmp_path / "s"
    listen = ("127.0.0.1:0", f"unix:{unix}", "127.0.0.1:0")
    with serving(store, listen=listen) as server:
        server.wait_for(f"on unix:{unix}")
        until(lambda: sum("serving" in line for line in server.lines) == 3, "three lines")
        assert get(server, "/v1/files/large")[2] == DATA
        assert stat.S_IMODE(unix.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(READY_SECONDS)
            sock.connect(str(unix))
            # Browsers cannot reach Unix sockets, so Host is not checked.
            sock.sendall(b"GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(sock)[0] == 200
        assert server.stop() == 0
    assert not unix.exists()


def test_ipv6(store: Path) -> None:
    if not _has_ipv6():
        given = {"store": str(store), "listen": ("[::1]:0",)}
        done = subprocess.run(command(given), stderr=subprocess.PIPE, timeout=60, check=False)
        assert b"cannot listen on [::1]:0" in done.stderr
        return
    with serving(store, listen=("[::1]:0",)) as server:
        assert server.url.startswith("http://[::1]:")
        with socket.create_connection(("::1", server.port), timeout=READY_SECONDS) as sock:
            sock.sendall(f"GET /v1/info HTTP/1.1\r\nHost: [::1]:{server.port}\r\n\r\n".encode())
            assert read_answer(sock)[0] == 200


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"store": "missing"}, "no-store"),
        ({"listen": ("0.0.0.0:0",)}, "usage"),
        ({"listen": ("example.org:80",)}, "usage"),
        ({"workers": 0}, "usage"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    store: Path, tmp_path: Path, options: dict[str, object], code: str
) -> None:
    given = {"store": str(store), "listen": ("127.0.0.1:0",)} | options
    done = subprocess.run(
        command(given), stderr=subprocess.PIPE, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 9
    assert done.stderr.decode().startswith(f"{code}: ")
    assert done.stderr.count(b"\n") == 1


def test_an_address_in_use(store: Path) -> None:
    with serving(store) as server:
        given = {"store": str(store), "listen": (f"127.0.0.1:{server.port}",)}
        done = subprocess.run(command(given), stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.stderr.startswith(b"locked: ")


def test_a_store_that_cannot_be_written_is_served(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True, map_bytes=2**30) as writable:
        put_file(writable, b"content", name="small")
    for file in path.iterdir():
        file.chmod(0o400)
    path.chmod(0o500)
    try:
        with serving(path) as server:
            assert get(server, "/v1/files/small")[2] == b"content"
            assert server.stop() == 0
    finally:
        path.chmod(0o700)


def test_what_is_prepared_while_the_server_runs_is_served(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True, map_bytes=2**30) as writer, serving(path) as server:
        assert get(server, "/v1/names/late")[0] == 404
        put_file(writer, b"content", name="late")
        assert get(server, "/v1/files/late")[2] == b"content"


# -- Dying ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGBUS])
def test_a_worker_that_dies_is_named_and_replaced(store: Path, number: signal.Signals) -> None:
    with serving(store) as server:
        (worker,) = server.workers()
        os.kill(worker, number)
        assert f"worker {worker} was killed by {number.name}" in server.wait_for("killed by")
        until(lambda: server.workers() not in ([], [worker]), "another worker")
        assert get(server, "/v1/info")[0] == 200
        assert server.stop() == 0


def test_several_workers_share_the_sockets(store: Path) -> None:
    with serving(store, workers=2) as server:
        until(lambda: len(server.workers()) == 2, "two workers")
        os.kill(server.workers()[0], signal.SIGKILL)
        for _ in range(5):
            assert get(server, "/v1/info")[0] == 200
        assert server.stop() == 0


def test_workers_that_die_repeatedly_end_the_server(store: Path) -> None:
    with serving(store) as server:
        stop = threading.Event()

        def killer() -> None:
            while not stop.wait(0.02):
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                    for worker in server.workers():
                        os.kill(worker, signal.SIGKILL)

        thread = threading.Thread(target=killer)
        thread.start()
        try:
            server.wait_for("die repeatedly")
        finally:
            stop.set()
            thread.join()
        assert server.wait() == 9


def test_workers_do_not_outlive_their_supervisor(store: Path) -> None:
    with serving(store, workers=2) as server:
        until(lambda: len(server.workers()) == 2, "two workers")
        workers = server.workers()
        server.stop(signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in workers), "the end of the workers")


# -- Stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_without_work_is_quick(store: Path, number: signal.Signals) -> None:
    with serving(store, grace=30.0) as server, server.connect(), server.connect() as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost:")
        get(server, "/healthz")
        started = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - started < 10


def test_a_hangup_without_anything_to_reload_is_harmless(store: Path) -> None:
    with serving(store, workers=2) as server:
        for _ in range(3):
            server.process.send_signal(signal.SIGHUP)
        assert get(server, "/healthz")[0] == 200
        assert server.stop(signal.SIGTERM) == 0


def test_a_running_answer_is_completed_at_a_stop(store: Path) -> None:
    with serving(store, grace=30.0) as server, begin(server, 262_144) as sock:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: _refuses(server.port), "closed listeners")
        data = b""
        while part := sock.recv(1 << 20):
            data += part
        assert data.endswith(DATA[-100_000:])
        assert server.wait() == 0


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_answers_are_cut_off_at_the_end_of_the_grace_time(store: Path) -> None:
    with serving(store, grace=1.0) as server:
        clients = [begin(server) for _ in range(8)]
        try:
            started = time.monotonic()
            assert server.stop() == 9
            assert time.monotonic() - started < 15
            assert server.lines[-1].startswith("stopped: ")
        finally:
            for client in clients:
                client.close()


def test_a_second_signal_stops_at_once(store: Path) -> None:
    with serving(store, grace=60.0) as server, begin(server):
        server.process.send_signal(signal.SIGINT)
        until(lambda: _refuses(server.port), "closed listeners")
        started = time.monotonic()
        assert server.stop(signal.SIGINT) == 9
        assert time.monotonic() - started < 10
        assert server.lines[-1].startswith("stopped: ")


def test_readiness_fails_before_the_listeners_close(store: Path) -> None:
    with serving(store, {"drain": 3600.0}) as server:
        assert get(server, "/readyz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: get(server, "/readyz")[0] == 503, "not ready")
        assert get(server, "/healthz")[0] == 200
        assert server.stop() == 9


def test_the_grace_begins_when_the_listeners_close(store: Path) -> None:
    with serving(store, {"drain": 4.0}, grace=0.5) as server:
        assert server.stop() == 0


# -- Leaks ----------------------------------------------------------------------------------------


def test_clients_that_disconnect_leave_no_transactions_behind(store: Path) -> None:
    with serving(store) as server, LmdbStore.open(store, read_only=True) as mine:
        (worker,) = server.workers()
        get(server, "/v1/files/large")
        before = len(os.listdir(f"/proc/{worker}/fd"))
        ids = [chunk_id(DATA[at : at + CHUNK]) for at in range(0, len(DATA), CHUNK)]
        body = encode_ids(Kind.CHUNK, ids)
        for number in range(200):
            if number % 2:
                begin(server).close()
                continue
            with server.connect() as sock:
                head = (
                    f"POST /v1/objects/fetch HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                    f"Content-Type: {IDS_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                sock.sendall(head.encode() + body)
                assert sock.recv(10) == b"HTTP/1.1 2"
        until(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= before + 1, "closed descriptors")
        until(lambda: not reading(mine, worker), "ended transactions")
        assert get(server, "/v1/files/large")[2] == DATA


def reading(store: LmdbStore, pid: int) -> list[str]:
    """The transactions that a process has open in a store."""
    rows = [line.split() for line in store._environment._lmdb.readers().splitlines()[1:]]
    return [row[2] for row in rows if int(row[0]) == pid and row[2] != "-"]


# -- Damage ---------------------------------------------------------------------------------------


def flip(path: Path, needle: bytes) -> None:
    """Flips a bit in the middle of `needle` in a file."""
    data = path.read_bytes()
    at = data.index(needle) + len(needle) // 2
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([data[at] ^ 1]))


def test_a_flipped_byte_is_never_sent(tmp_path: Path) -> None:
    path = tmp_path / "store"
    data = os.urandom(8 * 1024 * 1024)
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    ids = [chunk_id(piece) for piece in pieces]
    with LmdbStore.open(path, create=True, map_bytes=2**30) as writable:
        put_file(writable, data, name="file", size=CHUNK)
    flip(path / "data.mdb", pieces[100])
    bad = ids[100].hex()
    with serving(path) as server:
        assert get(server, "/v1/files/file", f"Range: bytes=0-{CHUNK}\r\n")[0] == 206
        status, _, body = get(server, "/v1/files/file", f"Range: bytes={100 * CHUNK}-\r\n")
        assert status == 500
        assert bad.encode() in body
        status, _, body = get(server, f"/v1/objects/chunk/{bad}")
        assert status == 500
        assert bad.encode() in body

        # In the middle of a body: correct so far, then truncated.
        status, fields, body = get(server, "/v1/files/file")
        assert status == 200
        assert len(body) < int(fields["content-length"])
        assert data.startswith(body)
        assert bad in server.wait_for("broken off: damaged-object")

        answers = fetch(server, ids)
        assert answers[100] is Status.DAMAGED
        assert all(isinstance(a, Packed) for n, a in enumerate(answers) if n != 100)


def fetch(server: Server, ids: list[ChunkId]) -> list[Answer]:
    body = encode_ids(Kind.CHUNK, ids)
    with server.connect() as sock:
        head = (
            f"POST /v1/objects/fetch HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Content-Type: {IDS_TYPE}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        sock.sendall(head.encode() + body)
        status, _, chunked = read_answer(sock)
    assert status == 200
    reader = FrameReader(Kind.CHUNK, Singles(ids))
    answers: list[Answer] = []
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        answers += reader.feed(chunked[: int(size, 16)]) if int(size, 16) else []
        chunked = chunked[int(size, 16) + 2 :]
    reader.finish()
    return answers
