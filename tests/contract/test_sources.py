"""The port of sources, on each of its implementations that runs in a moment."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources
from casync.store.lmdb.store import LmdbStore
from tests.contract.source_contract import CONTENTS, SourceContract
from tests.support.ais_cluster import ais_cluster
from tests.support.debian import UnavailableError
from tests.support.memory_source import MemorySource
from tests.support.serving import put_file, serving
from tests.support.web_hdfs import web_hdfs
from tests.support.web_servers import apache, http_server, nginx


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The contents as files that have not changed for a while, for every user to read."""
    with tempfile.TemporaryDirectory(prefix="casync-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for key, data in CONTENTS.items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (1_700_000_000, 1_700_000_000))
        yield folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def python_url(folder: Path) -> Iterator[str]:
    with http_server(folder) as url:
        yield url


@pytest.fixture(scope="module")
def nginx_url(folder: Path, home: Path) -> Iterator[str]:
    try:
        with nginx(folder, home) as url:
            yield url
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def apache_url(folder: Path, home: Path) -> Iterator[str]:
    try:
        with apache(folder, home) as url:
            yield url
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def casync_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("there") / "store"
    with LmdbStore.open(path, create=True) as store:
        for key, data in CONTENTS.items():
            put_file(store, data, name=key, size=1 << 14)
    with serving(path) as server:
        yield server.url


def opened(address: str) -> Iterator[RemoteSource]:
    with Sources() as sources:
        source, key = sources.open(address)
        assert key == ""
        yield source


class TestMemorySource(SourceContract):
    @pytest.fixture
    def source(self) -> RemoteSource:
        source = MemorySource()
        for key, data in CONTENTS.items():
            source.put(key, data)
        return source


class TestLocalSource(SourceContract):
    @pytest.fixture
    def source(self, folder: Path) -> Iterator[RemoteSource]:
        # An identity proves nothing until the change time of the files is two seconds old.
        newest = max(path.lstat().st_ctime_ns for path in folder.rglob("*"))
        time.sleep(max(0.0, (newest + 2_100_000_000 - time.time_ns()) / 1e9))
        yield from opened(f"file://{folder}/")


class TestPythonServer(SourceContract):
    """H1, H2: http.server."""

    lists_sizes = False
    has_ranges = False

    @pytest.fixture
    def source(self, python_url: str) -> Iterator[RemoteSource]:
        yield from opened(f"{python_url}/")


class TestNginx(SourceContract):
    """H2, H4: nginx."""

    @pytest.fixture
    def source(self, nginx_url: str) -> Iterator[RemoteSource]:
        yield from opened(f"{nginx_url}/")


class TestNginxWithRoundedSizes(TestNginx):
    lists_sizes = False

    @pytest.fixture
    def source(self, nginx_url: str) -> Iterator[RemoteSource]:
        yield from opened(f"{nginx_url}/rounded/")


class TestApache(SourceContract):
    """H2: Apache."""

    lists_sizes = False

    @pytest.fixture(params=["/", "/plain/", "/table/"])
    def source(self, apache_url: str, request: pytest.FixtureRequest) -> Iterator[RemoteSource]:
        yield from opened(f"{apache_url}{request.param}")


class TestCasyncServer(SourceContract):
    """D2: another casync."""

    lists_sizes = False

    @pytest.fixture
    def source(self, casync_url: str) -> Iterator[RemoteSource]:
        yield from opened(f"casync+{casync_url}/")


class TestWebHdfs(SourceContract):
    """D2: HDFS by WebHDFS."""

    @pytest.fixture(params=[True, False], ids=["batches", "whole"])
    def source(self, request: pytest.FixtureRequest) -> Iterator[RemoteSource]:
        with web_hdfs(CONTENTS, has_batches=request.param) as there:
            yield from opened(f"{there.url}/")


class TestAisCluster(SourceContract):
    """D2: AIStore."""

    @pytest.fixture
    def source(self) -> Iterator[RemoteSource]:
        with ais_cluster(CONTENTS) as there:
            yield from opened(f"{there.url}/")
