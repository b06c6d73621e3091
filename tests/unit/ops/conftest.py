"""What the tests of operations share."""

from __future__ import annotations

import pytest

from tests.support.pulling import MemoryServer


@pytest.fixture
def server() -> MemoryServer:
    """A server in this process."""
    return MemoryServer()
