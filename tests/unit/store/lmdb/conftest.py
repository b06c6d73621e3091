"""Fixtures of the LMDB store's tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The folder of the fixture `store`, or of a store that the test makes."""
    return tmp_path / "store"
