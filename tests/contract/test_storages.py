"""The port of object storage, on each of its implementations that runs in a moment."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.bucket.storage import ObjectStorage, TagForm
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage
from tests.contract.storage_contract import StorageContract
from tests.support import moto_server
from tests.support.memory_storage import MemoryStorage


class TestMemoryStorage(StorageContract):
    @pytest.fixture(params=[None, TagForm.BARE])
    def storage(self, request: pytest.FixtureRequest) -> ObjectStorage:
        return MemoryStorage(accepts=request.param)


class TestFolder(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> ObjectStorage:
        return open_storage(f"file://{tmp_path}/bucket")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server.moto_server() as url:
        yield url


class TestMoto(StorageContract):
    @pytest.fixture
    def storage(self, moto: str) -> ObjectStorage:
        keys = {
            "access_key_id": moto_server.KEY,
            "secret_access_key": moto_server.SECRET,
            "region": moto_server.REGION,
        }
        options = SourceOptions(s3_endpoint=moto, s3=keys, retry_for=5.0)
        return open_storage(f"s3://bucket/{secrets.token_hex(4)}/it is ~=+@,:!/store", options)
