"""`hdfs://` on a real HDFS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources
from tests.contract.source_contract import CONTENTS, SourceContract
from tests.support.debian import UnavailableError
from tests.support.hadoop import hdfs
from tests.support.program import Program


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    hdfs_native = pytest.importorskip("hdfs_native", reason="hdfs-native is missing")
    try:
        with hdfs(tmp_path_factory.mktemp("hdfs")) as address:
            client = hdfs_native.Client(address)
            for key, data in CONTENTS.items():
                options = hdfs_native.WriteOptions(create_parent=True)
                with client.create(f"/{key}", options) as file:
                    file.write(data)
            yield address
    except UnavailableError as error:
        pytest.skip(str(error))


class TestHdfs(SourceContract):
    """D2: HDFS by its own protocol."""

    @pytest.fixture
    def source(self, address: str) -> Iterator[RemoteSource]:
        with Sources() as sources:
            source, key = sources.open(f"{address}/")
            assert key == ""
            yield source


def test_files_of_hdfs_are_downloaded(address: str, program: Program) -> None:
    """D2, D7."""
    program.good("download", f"{address}/d/", "ds/")
    program.good("pull", "ds/large", "-o", "large")
    assert (program.home / "large").read_bytes() == CONTENTS["d/large"]
    again = program.good("download", f"{address}/d/", "ds/", "--json").lines[-1]
    assert '"fetched_bytes": 0' in again
