"""The port of sources on real servers of clouds, and on Go's FileServer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import AzureStore

from casync.errors import DeniedError
from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.contract.source_contract import CONTENTS, SourceContract
from tests.support import azurite, swift
from tests.support.debian import UnavailableError
from tests.support.go_servers import file_server, google_storage
from tests.support.program import Program


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceOptions]:
    try:
        with swift.running(tmp_path_factory.mktemp("swift")) as server:
            server.put("/bucket")
            for key, data in CONTENTS.items():
                server.put(f"/bucket/{key}", data)
            keys = {
                "access_key_id": swift.KEY,
                "secret_access_key": swift.SECRET,
                "region": swift.REGION,
            }
            yield SourceOptions(s3_endpoint=server.url, s3=keys, retry_for=5.0)
    except UnavailableError as error:
        pytest.skip(str(error))


class TestSwift(SourceContract):
    """D2: s3."""

    @pytest.fixture
    def source(self, s3: SourceOptions) -> Iterator[RemoteSource]:
        with Sources(s3) as sources:
            yield sources.open("s3://bucket")[0]


@pytest.fixture(scope="module")
def azure() -> Iterator[str]:
    """The URL of an account that has the contents in a container."""
    try:
        with azurite.running() as url:
            azurite.make_container(url)
            store = AzureStore(
                "container",
                config={
                    "account_name": azurite.ACCOUNT,
                    "account_key": azurite.KEY,
                    "endpoint": url,
                },
                client_options={"allow_http": True},
            )
            for key, data in CONTENTS.items():
                obstore.put(store, key, data)
            yield url
    except UnavailableError as error:
        pytest.skip(str(error))


def write_contents(folder: Path) -> None:
    for key, data in CONTENTS.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000, 1_700_000_000))


class TestGoogle(SourceContract):
    """D2: gs."""

    @pytest.fixture
    def source(self, google: str) -> Iterator[RemoteSource]:
        anonymous = {"skip_signature": "true"}
        with Sources(SourceOptions(gs_endpoint=google, gs=anonymous, retry_for=5.0)) as sources:
            yield sources.open("gs://bucket")[0]


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("google")
    write_contents(folder / "bucket")
    try:
        with google_storage(folder) as url:
            yield url
    except UnavailableError as error:
        pytest.skip(str(error))


class TestGoFileServer(SourceContract):
    """H2, H4: Go's http.FileServer."""

    lists_sizes = False

    @pytest.fixture
    def source(self, go_url: str) -> Iterator[RemoteSource]:
        with Sources() as sources:
            yield sources.open(f"{go_url}/")[0]


@pytest.fixture(scope="module")
def go_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("go")
    write_contents(folder)
    try:
        with file_server(folder) as url:
            yield url
    except UnavailableError as error:
        pytest.skip(str(error))


class TestAzurite(SourceContract):
    """D2: az."""

    @pytest.fixture
    def source(self, azure: str) -> Iterator[RemoteSource]:
        account = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
        with Sources(SourceOptions(az_endpoint=azure, az=account, retry_for=5.0)) as sources:
            yield sources.open("az://container")[0]

    def test_a_public_container_is_read_without_credentials(self, azure: str) -> None:
        """D2: anonymous."""
        account = {"account_name": azurite.ACCOUNT, "skip_signature": "true"}
        with Sources(SourceOptions(az_endpoint=azure, az=account, retry_for=5.0)) as sources:
            source, key = sources.open("azure://container/a")
            found = source.find(key)
            assert found is not None
            assert found.size == 3

    def test_a_wrong_key_is_an_error(self, azure: str) -> None:
        account = {"account_name": azurite.ACCOUNT, "account_key": "AAAA"}
        with Sources(SourceOptions(az_endpoint=azure, az=account, retry_for=5.0)) as sources:
            source, _ = sources.open("az://container")
            with pytest.raises(DeniedError) as raised:
                source.list_folder("")
            assert (raised.value.fault, raised.value.status) == ("http", 403)

    def test_the_program_reads_the_variables_of_azure(self, azure: str, tmp_path: Path) -> None:
        """D2: credentials from the usual environment."""
        program = Program(tmp_path)
        connection = f"AccountName={azurite.ACCOUNT};AccountKey={azurite.KEY};BlobEndpoint={azure};"
        program.environment["AZURE_STORAGE_CONNECTION_STRING"] = connection
        lines = program.good("ls", "-R", "az://container/d/").lines
        assert sorted(lines) == ["5000\te/f", "9000000\tlarge"]
        first = program.good("prepare", "az://container", "--name", "c", "--json").document
        assert (first["files"], first["left_out"]) == (len(CONTENTS), [])
        again = program.good("prepare", "az://container", "--json").document
        assert again["unchanged"] == len(CONTENTS)
