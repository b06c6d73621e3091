"""The port of object storage, and the probe, on servers of S3."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import boto3
import pytest

from casync.bucket.storage import ObjectStorage, TagForm
from casync.errors import UnsafeStorageError, UnsupportedError
from casync.limits import MIB
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage
from casync.store.bucket.probe import probe
from tests.contract.storage_contract import StorageContract
from tests.support import ceph, go_servers, s3s, swift
from tests.support.debian import UnavailableError


def options_of(url: str, key: str, secret: str, region: str) -> SourceOptions:
    """How to reach a server, on which a bucket named `bucket` is made."""
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": region}
    client = boto3.client("s3", endpoint_url=url, **keys)
    client.create_bucket(Bucket="bucket")
    client.close()
    found = {"access_key_id": key, "secret_access_key": secret, "region": region}
    return SourceOptions(s3_endpoint=url, s3=found, retry_for=10.0)


def opened(options: SourceOptions) -> ObjectStorage:
    return open_storage(f"s3://bucket/{secrets.token_hex(4)}/store", options)


def running(
    server: AbstractContextManager[str], key: str, secret: str, region: str
) -> Iterator[SourceOptions]:
    try:
        with server as url:
            yield options_of(url, key, secret, region)
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder with a short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="casync-") as name:
        yield Path(name)


class ServerContract(StorageContract):
    """The contract, and what is too large for every run."""

    def test_a_large_file_is_sent_in_parts(self, storage: ObjectStorage, tmp_path: Path) -> None:
        size = 70 * MIB
        with (tmp_path / "large").open("wb+") as file:
            file.truncate(size)
            file.seek(50 * MIB)
            file.write(b"here")
            storage.put("run/large", file)
        (listed,) = storage.list("run/")
        assert listed.size == size
        middle = (50 * MIB - 1, 50 * MIB + 5)
        assert storage.get_ranges("run/large", [middle]) == [b"\0here\0"]


@pytest.fixture(scope="module")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceOptions]:
    server = go_servers.versitygw(tmp_path_factory.mktemp("versitygw"))
    yield from running(server, go_servers.KEY, go_servers.SECRET, go_servers.REGION)


class TestVersityGateway(ServerContract):
    @pytest.fixture
    def storage(self, versitygw: SourceOptions) -> ObjectStorage:
        return opened(versitygw)


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceOptions]:
    server = go_servers.seaweedfs(tmp_path_factory.mktemp("seaweedfs"))
    yield from running(server, go_servers.KEY, go_servers.SECRET, go_servers.REGION)


class TestSeaweedFs(ServerContract):
    @pytest.fixture
    def storage(self, seaweedfs: SourceOptions) -> ObjectStorage:
        return opened(seaweedfs)


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[SourceOptions]:
    yield from running(ceph.running(home), ceph.KEY, ceph.SECRET, ceph.REGION)


class TestCeph(ServerContract):
    @pytest.fixture
    def storage(self, gateway: SourceOptions) -> ObjectStorage:
        return opened(gateway)

    def test_it_takes_tags_without_quotes_only(self, storage: ObjectStorage) -> None:
        assert probe(storage) is TagForm.BARE


@pytest.fixture(scope="module")
def racy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceOptions]:
    server = s3s.s3s_fs(tmp_path_factory.mktemp("s3s"))
    yield from running(server, s3s.KEY, s3s.SECRET, "us-east-1")


def test_a_server_whose_conditions_race_is_refused(racy: SourceOptions) -> None:
    with pytest.raises(UnsafeStorageError, match="not safe to write to") as raised:
        probe(opened(racy))
    assert "winners" in raised.value.message


def test_a_server_without_conditions_is_refused(tmp_path: Path) -> None:
    try:
        with swift.running(tmp_path) as server:
            options = options_of(server.url, swift.KEY, swift.SECRET, swift.REGION)
            with pytest.raises(UnsupportedError, match="does not support conditional writes"):
                probe(opened(options))
    except UnavailableError as error:
        pytest.skip(str(error))
