import pytest

from tests.contract.whole_store import Clock

for contract in ("store", "editable", "push", "collection", "job", "job_rows", "storage"):
    pytest.register_assert_rewrite(f"tests.contract.{contract}_contract")


@pytest.fixture
def clock() -> Clock:
    return Clock()
