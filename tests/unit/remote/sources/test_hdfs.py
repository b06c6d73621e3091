"""hdfs:// without its library. With it, `make integration` runs a real HDFS."""

from __future__ import annotations

import sys

import pytest

from casync.errors import UsageError
from casync.remote.sources.open import Sources, is_address


def test_a_missing_library_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D2."""
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    assert is_address("hdfs://host:8020/a")
    with Sources() as sources, pytest.raises(UsageError, match="needs the library") as refused:
        sources.open("hdfs://host:8020/a")
    assert "pip install 'casync[hdfs]'" in refused.value.next_step


@pytest.mark.parametrize("address", ["hdfs:///a", "hdfs://u@host/a", "hdfs://a b/c", "hdfs://h:x/"])
def test_an_address_has_a_host(address: str) -> None:
    with Sources() as sources, pytest.raises(UsageError, match="not an address of HDFS"):
        sources.open(address)
