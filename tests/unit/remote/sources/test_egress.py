"""Which addresses sources may connect to is decided at each connection, whatever the scheme."""

from __future__ import annotations

import pytest

from casync.errors import DeniedError
from casync.jobs.egress import EgressPolicy
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/a",
        "casync://127.0.0.1:9/a",
        "casync+http://localhost:9/a",
        "webhdfs://127.0.0.1:9/a",
        "ais://127.0.0.1:9/bucket/a",
    ],
)
def test_a_connection_that_the_policy_forbids_is_not_made(address: str) -> None:
    """D2."""
    options = SourceOptions(egress=EgressPolicy(), retry_for=0.0)
    with Sources(options) as sources:
        source, key = sources.open(address)
        with pytest.raises(DeniedError) as denied:
            source.find(key)
    assert denied.value.fault == "policy"
