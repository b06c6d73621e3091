"""Content in buckets of a real S3 server."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from tests.support.certificates import make_authority, make_certificate
from tests.support.debian import UnavailableError
from tests.support.program import Program, Ran
from tests.support.swift import KEY, REGION, SECRET, Swift, running

LARGE = random.Random(6).randbytes(11_000_000)
_BUCKETS = (f"bucket{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    try:
        with running(tmp_path_factory.mktemp("swift")) as server:
            yield server
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def bucket(swift: Swift) -> str:
    name = next(_BUCKETS)
    swift.put(f"/{name}")
    return name


class Client(Program):
    """The program with the environment of a user of S3."""

    def __init__(self, home: Path, swift: Swift) -> None:
        super().__init__(home)
        kept = {k: v for k, v in self.environment.items() if not k.startswith("AWS_")}
        config = home / "config.toml"
        config.write_text('retry_for = "2s"\n')
        self.environment = kept | swift.environment | {"CASYNC_CONFIG": str(config)}


@pytest.fixture
def program(tmp_path: Path, swift: Swift) -> Client:
    return Client(tmp_path, swift)


def paths(program: Program, ref: str) -> dict[str, tuple[str, str]]:
    """Mode and size of all entries of a tree, by path."""
    lines = [line.split("\t") for line in program.good("ls", "-lR", ref).lines]
    return {line[4]: (line[0], line[1]) for line in lines}


def said(ran: Ran) -> tuple[int, str]:
    """The exit status, and the code of the one error."""
    assert ran.err.count('"error"') <= 1
    return ran.status, str(ran.problem["code"])


def test_files_come_from_s3(program: Client, swift: Swift, bucket: str, tmp_path: Path) -> None:
    swift.put(f"/{bucket}/www/large.img", LARGE)
    swift.put(f"/{bucket}/www/css/a.css", b"body {}")
    swift.put(f"/{bucket}/www/css-old", b"old")
    swift.put(f"/{bucket}/www/css/\u00e9 %2e?#.tmp", b"odd")
    swift.put(f"/{bucket}/www/empty")
    swift.put(f"/{bucket}/wwwelsewhere", b"not below it")
    address = f"s3://{bucket}/www"
    first = program.good("prepare", address, "--name", "www", "--json").document
    assert (first["files"], first["folders"], first["unchanged"]) == (5, 2, 0)
    assert first["length"] == len(LARGE) + 7 + 3 + 3
    assert paths(program, "www:") == {
        "css": ("drwxr-xr-x", "10"),
        "css-old": ("-rw-r--r--", "3"),
        "css/a.css": ("-rw-r--r--", "7"),
        "css/\u00e9 %2e?#.tmp": ("-rw-r--r--", "3"),
        "empty": ("-rw-r--r--", "0"),
        "large.img": ("-rw-r--r--", str(len(LARGE))),
    }
    program.good("pull", "www", "-o", "copy")
    assert (tmp_path / "copy" / "large.img").read_bytes() == LARGE

    again = program.good("prepare", address + "/", "--json").document
    assert (again["manifest"], again["unchanged"]) == (first["manifest"], 5)
    swift.put(f"/{bucket}/www/css/a.css", b"body { }")
    changed = program.good("prepare", address, "--json", "--exclude", "*.tmp").document
    assert (changed["files"], changed["unchanged"], changed["new"]) == (4, 3, 4)
    program.good("verify")

    # A single object is a file.
    (tmp_path / "large.img").write_bytes(LARGE)
    one = program.good("prepare", f"{address}/large.img", "--name", "one", "--json").document
    assert one["manifest"] == program.good("prepare", "large.img").lines[0]
    assert not one["unchanged"]
    assert program.good("prepare", f"{address}/large.img", "--json").document["unchanged"]
    forced = program.good("prepare", f"{address}/large.img", "--reread", "--json").document
    assert (forced["manifest"], forced["unchanged"]) == (one["manifest"], False)
    digest = "sha256:" + "0" * 64
    assert said(program.run("prepare", f"{address}/empty", "--expect", digest, "--json"))[0] == 4


def test_keys_that_are_not_paths_are_left_out(program: Client, swift: Swift, bucket: str) -> None:
    swift.put(f"/{bucket}/t/folder/")  # what S3 consoles create for an empty folder
    swift.put(f"/{bucket}/t/marked/")
    swift.put(f"/{bucket}/t/marked/file", b"1")
    swift.put(f"/{bucket}/t/both", b"a file")
    swift.put(f"/{bucket}/t/both/file", b"in a folder")
    swift.put(f"/{bucket}/t/bytes/", b"a folder with bytes")
    ran = program.run("prepare", f"s3://{bucket}/t", "--name", "t", "--json")
    assert said(ran) == (3, "source-changed")
    assert {entry["path"] for entry in ran.document["left_out"]} == {"both", "bytes"}
    assert {path: size for path, (_, size) in paths(program, "t:").items()} == {
        "both": "11",
        "both/file": "11",
        "folder": "0",
        "marked": "1",
        "marked/file": "1",
    }

    swift.put(f"/{bucket}/t/bad//file", b"2")
    ran = program.run("prepare", f"s3://{bucket}/t", "--name", "t", "--json")
    assert said(ran) == (3, "source-changed")
    assert {entry["path"] for entry in ran.document["left_out"]} == {"bad", "both", "bytes"}
    assert "bad//" in ran.err
    assert program.good("cat", "t:both/file").out == b"in a folder"
    ran = program.run("prepare", f"s3://{bucket}/t/bad/", "--json")
    assert said(ran) == (3, "partial")


def test_errors_of_buckets_are_reported(program: Client, swift: Swift, bucket: str) -> None:
    swift.put(f"/{bucket}/file", b"1")
    address = f"s3://{bucket}/file"

    def code(address: str, **environment: str) -> tuple[int, str]:
        ran = program.run("prepare", address, "--json", stdin=b"", **environment)
        assert ran.err.count("\n") == 1 + ran.err.startswith("server lost, retrying until ")
        return said(ran)

    assert code(f"s3://{bucket}/nothing") == (9, "not-found")
    assert code(f"s3://no-{bucket}/") == (9, "not-found")
    assert code(address, AWS_SECRET_ACCESS_KEY="wrong") == (8, "denied")
    assert code(f"s3://{bucket}/", AWS_SECRET_ACCESS_KEY="wrong") == (8, "denied")
    assert code(address, AWS_ENDPOINT_URL="http://127.0.0.1:1") == (5, "unreachable")
    assert code(address, AWS_ENDPOINT_URL="nowhere") == (2, "usage")
    assert code(address, AWS_CA_BUNDLE="/nowhere") == (1, "error")
    assert code("s3://") == (2, "usage")
    assert code(f"s3://{bucket}/a//b") == (2, "usage")
    ran = program.run("prepare", address, "--exclude", "x")
    assert ran.status == 2
    ran = program.run("prepare", f"s3://{bucket}/", "--one-file-system")
    assert ran.status == 2


def test_a_presigned_url_is_fetched_without_credentials(
    program: Client, swift: Swift, bucket: str, tmp_path: Path
) -> None:
    """D2: it is signed for GET only, and the second one has another signature."""
    key = "a dir/\u00e9 +&=%2F?#.img"
    swift.put(f"/{bucket}/{key}", LARGE)
    store = S3Store(
        bucket,
        config={
            "access_key_id": KEY,
            "secret_access_key": SECRET,
            "region": REGION,
            "endpoint": swift.url,
        },
        client_options={"allow_http": True},
    )
    anonymous = dict.fromkeys(swift.environment, "")
    for number, lasting in enumerate((600, 601)):
        url = obstore.sign(store, "GET", key, timedelta(seconds=lasting))
        got = program.run("get", url, "-o", "out", "--json", stdin=b"", **anonymous)
        assert got.status == 0, got.err
        assert got.document["unchanged"] == bool(number)
        assert (tmp_path / "out").read_bytes() == LARGE
    expired = url.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    assert said(program.run("get", expired, "--json", stdin=b"", **anonymous)) == (8, "denied")


def test_private_authorities_are_supported(
    program: Client, swift: Swift, bucket: str, tmp_path: Path
) -> None:
    swift.put(f"/{bucket}/file", b"by TLS")
    tls = tmp_path / "tls"
    make_authority(tls)
    certificate, key = make_certificate(tls, "server", "127.0.0.1")
    with tls_before(swift.port, certificate, key) as url:
        address = f"s3://{bucket}/file"
        ran = program.run("prepare", address, "--json", AWS_ENDPOINT_URL=url)
        assert said(ran) == (5, "remote")
        assert "is not trusted" in ran.err
        ca = str(tls / "ca.pem")
        ran = program.good("prepare", address, AWS_ENDPOINT_URL=url, AWS_CA_BUNDLE=ca)
        hash_ = ran.lines[0]
    assert program.good("cat", hash_).out == b"by TLS"


@contextlib.contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[str]:
    """Terminates TLS in front of a local port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(plain: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(plain, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", port)) as inside,
        ):
            back = threading.Thread(target=pump, args=(inside, outside))
            back.start()
            pump(outside, inside)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=serve, args=(plain,), daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
