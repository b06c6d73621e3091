"""Servers in Go for tests: its FileServer, fake-gcs-server, and versitygw, a gateway of S3.

Where Go is installed they are built once, in a folder of the user's cache. Elsewhere the tests that
need them are skipped and counted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.debian import UnavailableError
from tests.support.web_servers import free_port, running

FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.52.2"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KEY, SECRET, REGION = "testkey", "testsecret", "us-east-1"
BUILD_SECONDS = 900.0

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
    program = _built("file_server", "build", "-o", str(home / "file_server"), str(source))
    port = free_port()
    with running([str(program), f"127.0.0.1:{port}", str(folder)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def google_storage(folder: Path) -> Iterator[str]:
    """A server of Google's storage, with a bucket for each folder in `folder`; gives its URL.

    Raises:
        UnavailableError: It cannot be built.
    """
    program = _built("fake-gcs-server", "install", FAKE_GCS)
    port = free_port()
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    place = ["-data", str(folder), "-public-host", f"127.0.0.1:{port}"]
    with running([str(program), *options, *place], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def versitygw(folder: Path) -> Iterator[str]:
    """A server of S3 whose buckets are the folders in `folder`; gives its URL.

    Raises:
        UnavailableError: It cannot be built.
    """
    program = _built("versitygw", "install", VERSITYGW)
    port = free_port()
    options = ["--port", f"127.0.0.1:{port}", "--region", REGION]
    keys = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    with running([str(program), *options, "posix", str(folder)], port, **keys):
        yield f"http://127.0.0.1:{port}"


def _home() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home, "casync-tests", "go")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _built(name: str, *words: str) -> Path:
    """A program that `go` makes in our folder with these words."""
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if go is None:
        raise UnavailableError("Go is missing")
    home = _home()
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / name).exists():
            places = {"GOBIN": str(home), "GOPATH": str(home / "path"), "GOFLAGS": "-modcacherw"}
            try:
                subprocess.run(
                    [go, *words],
                    env={**os.environ, "GOCACHE": str(home / "cache"), **places},
                    check=True,
                    capture_output=True,
                    timeout=BUILD_SECONDS,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise UnavailableError(f"Go cannot build {name}: {error}") from error
    return home / name
