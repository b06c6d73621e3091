"""The port of object storage on Azure's Azurite, with the key of the account and with a SAS."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from casync.bucket.storage import ObjectStorage, TagForm
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage
from casync.store.bucket.probe import probe
from tests.contract.storage_contract import StorageContract
from tests.support import azurite
from tests.support.debian import UnavailableError


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    try:
        with azurite.running() as url:
            azurite.make_container(url)
            yield url
    except UnavailableError as error:
        pytest.skip(str(error))


def opened(url: str, **account: str) -> ObjectStorage:
    options = SourceOptions(
        az_endpoint=url, az={"account_name": azurite.ACCOUNT, **account}, retry_for=5.0
    )
    return open_storage(f"az://container/{secrets.token_hex(4)}/store", options)


class TestAzurite(StorageContract):
    @pytest.fixture
    def storage(self, url: str) -> ObjectStorage:
        return opened(url, account_key=azurite.KEY)

    def test_it_takes_tags_with_quotes(self, storage: ObjectStorage) -> None:
        assert probe(storage) is TagForm.QUOTED


class TestAzuriteWithSas(StorageContract):
    @pytest.fixture
    def storage(self, url: str) -> ObjectStorage:
        return opened(url, sas_key=azurite.container_sas())
