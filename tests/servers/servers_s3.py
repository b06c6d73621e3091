"""`s3://` on versitygw, a gateway over a folder."""

from __future__ import annotations

from collections.abc import Iterator

import obstore
import pytest
from obstore.store import S3Store

from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.contract.source_contract import CONTENTS, SourceContract
from tests.support.debian import UnavailableError
from tests.support.go_servers import KEY, REGION, SECRET, versitygw


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceOptions]:
    keys = {"access_key_id": KEY, "secret_access_key": SECRET, "region": REGION}
    folder = tmp_path_factory.mktemp("versitygw")
    (folder / "bucket").mkdir()
    try:
        with versitygw(folder) as url:
            store = S3Store(
                "bucket",
                endpoint=url,
                access_key_id=KEY,
                secret_access_key=SECRET,
                region=REGION,
                client_options={"allow_http": True},
            )
            for key, data in CONTENTS.items():
                obstore.put(store, key, data)
            yield SourceOptions(s3_endpoint=url, s3=keys, retry_for=5.0)
    except UnavailableError as error:
        pytest.skip(str(error))


class TestVersityGateway(SourceContract):
    """D2: s3."""

    @pytest.fixture
    def source(self, options: SourceOptions) -> Iterator[RemoteSource]:
        with Sources(options) as sources:
            yield sources.open("s3://bucket")[0]
