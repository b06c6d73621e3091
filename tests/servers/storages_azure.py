"""Stores and static sites on Azure's Azurite, with the key of the account and with a SAS."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.bucket.storage import ObjectStorage, TagForm
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage
from casync.store.bucket.probe import probe
from tests.contract.storage_contract import StorageContract
from tests.support import azurite
from tests.support.debian import UnavailableError
from tests.support.program import Program


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


def test_a_site_in_a_private_container_is_read_by_its_signature(url: str, tmp_path: Path) -> None:
    azurite.make_container(url, "private", is_public=False)
    publisher, reader = Program(tmp_path / "publisher"), Program(tmp_path / "reader")
    connection = (
        "DefaultEndpointsProtocol=http;"
        f"AccountName={azurite.ACCOUNT};AccountKey={azurite.KEY};BlobEndpoint={url};"
    )
    data = random.Random(6).randbytes(3_000_000)
    for program in (publisher, reader):
        program.home.mkdir()
    publisher.good("prepare", "--name", "vm", stdin=data)
    place = "az://private/images"
    publisher.good("publish", "vm", place, AZURE_STORAGE_CONNECTION_STRING=connection)
    target = reader.home / "disk"
    query = azurite.container_sas("private", "r")
    site = f"{url}/private/images"
    words = ("pull", "vm", "-o", target, "-v", "--debug", "--json", "--server")
    done = reader.good(*words, f"{site}?{query}")
    assert target.read_bytes() == data
    signature = query.rpartition("sig=")[2]
    for path in (path for path in reader.home.rglob("*") if path.is_file()):
        assert signature.encode() not in path.read_bytes()
    assert signature not in done.text + done.err
    target.unlink()
    for wrong in (site, f"{site}?{query.replace('sp=r', 'sp=rl')}"):
        refused = reader.run("pull", "vm", "-o", target, "--server", wrong)
        assert refused.status == 8, refused.err
        assert signature not in refused.err
