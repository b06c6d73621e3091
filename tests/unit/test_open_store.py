"""The API opens stores by their addresses."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import casync
from casync.errors import NoStoreError, UsageError


def test_a_store_in_a_bucket_is_opened_by_its_address(tmp_path: Path) -> None:
    place, tables = f"file://{tmp_path}/bucket", tmp_path / "tables"
    with pytest.raises(NoStoreError):
        casync.open_store(place, tables=tables)
    with casync.open_store(place, create=True, tables=tables) as store:
        prepared = casync.prepare(io.BytesIO(b"bytes"), store)
    with casync.open_store(place, read_only=True, tables=tmp_path / "other") as store:
        assert casync.open_ref(prepared.manifest.hex(), store).read() == b"bytes"
        target = io.BytesIO()
        casync.pull(prepared.manifest.hex(), target, store=store)
        assert target.getvalue() == b"bytes"


def test_a_folder_is_opened_as_ever(tmp_path: Path) -> None:
    with casync.open_store(tmp_path / "store", create=True) as store:
        assert store.path == tmp_path / "store"
    with casync.open_store(str(tmp_path / "store"), read_only=True) as store:
        assert not store.writable


def test_an_address_with_a_prefix_that_not_every_storage_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        casync.open_store("s3://bucket//two", tables=tmp_path)
