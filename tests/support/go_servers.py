"""Servers in Go for tests: its FileServer, fake-gcs-server, and two of S3, versitygw and SeaweedFS.

Where Go is installed they are built once, in a folder of the user's cache. Elsewhere the tests that
need them are skipped and counted.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.debian import UnavailableError
from tests.support.web_servers import free_port, running

FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.52.2"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
SEAWEEDFS = "github.com/seaweedfs/seaweedfs/weed"
SEAWEEDFS_VERSION = "v0.0.0-20261109003541-7506e5f91cd6"
KEY, SECRET, REGION = "testkey", "testsecret", "us-east-1"
BUILD_SECONDS = 2400.0  # SeaweedFS takes twenty minutes on two busy processors
READY_SECONDS = 60.0

_FILE_SERVER = """package main

import ("net/http"; "os")

func main() { panic(http.ListenAndServe(os.Args[1], http.FileServer(http.Dir(os.Args[2])))) }
"""


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """Go's http.FileServer; gives its URL.

    Raises:
        UnavailableError: It cannot be built.
    """
    home = _home()
    source = home / "file_server.go"
    source.write_text(_FILE_SERVER)
    program = _built("file_server", ["build", "-o", str(home / "file_server"), str(source)])
    port = free_port()
    with running([str(program), f"127.0.0.1:{port}", str(folder)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def google_storage(folder: Path) -> Iterator[str]:
    """A server of Google's storage, with a bucket for each folder in `folder`; gives its URL.

    Raises:
        UnavailableError: It cannot be built.
    """
    program = _built("fake-gcs-server", ["install", FAKE_GCS])
    port = free_port()
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    place = ["-data", str(folder), "-public-host", f"127.0.0.1:{port}"]
    with running([str(program), *options, *place], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def versitygw(folder: Path, log: Path | None = None) -> Iterator[str]:
    """A server of S3 whose buckets are the folders in `folder`; gives its URL.

    Args:
        folder: The folder.
        log: A file that gets a line for each request.

    Raises:
        UnavailableError: It cannot be built.
    """
    program = _built("versitygw", ["install", VERSITYGW])
    port = free_port()
    options = ["--port", f"127.0.0.1:{port}", "--region", REGION]
    if log is not None:
        options += ["--access-log", str(log)]
    keys = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    with running([str(program), *options, "posix", str(folder)], port, **keys):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """SeaweedFS with its S3 gateway, without buckets; gives its URL.

    Raises:
        UnavailableError: It cannot be built.
    """
    module = _home() / "weed-module"
    module.mkdir(exist_ok=True)
    init = [] if (module / "go.mod").exists() else [["mod", "init", "weed-for-tests"]]
    get = ["get", f"{SEAWEEDFS}@{SEAWEEDFS_VERSION}"]  # `go install` refuses its go.mod
    build = ["build", "-o", str(_home() / "weed"), SEAWEEDFS]
    program = _built("weed", *init, get, build, folder=module)
    identity = {
        "name": "test",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    port = _free_row()
    places = {"master.port": port + 1, "volume.port": port + 2, "filer.port": port + 3}
    options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-filer", "-volume.max=50"]
    options += ["-master.volumeSizeLimitMB=64", *(f"-{name}={at}" for name, at in places.items())]
    options += ["-s3", f"-s3.port={port}", f"-s3.config={folder}/s3.json"]
    with running([str(program), "server", *options], port):
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + READY_SECONDS
        while not _refuses_strangers(url):
            assert time.monotonic() < deadline, "SeaweedFS is not ready"
            time.sleep(0.1)
        yield url


def _free_row() -> int:
    """A port on loopback with three more behind it; its gRPC ports lie 10000 above them."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for each in (*range(port, port + 4), *range(port + 10_000, port + 10_004)):
                stack.enter_context(socket.create_server(("127.0.0.1", each)))
            return port


def _refuses_strangers(url: str) -> bool:
    """Whether a gateway has read its keys."""
    try:
        urllib.request.urlopen(url).close()
    except urllib.error.HTTPError as error:
        return error.code == 403
    except OSError:
        pass
    return False


def _home() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home, "casync-tests", "go")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _built(name: str, *commands: Sequence[str], folder: Path | None = None) -> Path:
    """A program that commands of `go`, in a folder, make in ours."""
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if go is None:
        raise UnavailableError("Go is missing")
    home = _home()
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / name).exists():
            places = {"GOBIN": str(home), "GOPATH": str(home / "path"), "GOFLAGS": "-modcacherw"}
            try:
                for words in commands:
                    subprocess.run(
                        [go, *words],
                        cwd=folder,
                        env={**os.environ, "GOCACHE": str(home / "cache"), **places},
                        check=True,
                        capture_output=True,
                        timeout=BUILD_SECONDS,
                    )
            except (OSError, subprocess.SubprocessError) as error:
                raise UnavailableError(f"Go cannot build {name}: {error}") from error
    return home / name
