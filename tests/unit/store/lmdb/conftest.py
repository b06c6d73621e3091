"""What the tests of the LMDB store share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the fixture `store` lies, or where a store can be made."""
    return tmp_path / "store"
