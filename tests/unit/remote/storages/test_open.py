"""Addresses of storages."""

from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import is_storage, open_storage

KEYS = {"access_key_id": "a", "secret_access_key": "TOPSECRET", "region": "x"}


def test_storages_are_told_from_paths() -> None:
    assert all(map(is_storage, ("s3://b", "S3://b", "gs://b/p", "az://c/p", "file:///p")))
    assert not any(map(is_storage, ("/p", "./s3", "http://h/p", "casync://h", "s3:/b", "file")))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://bucket", "s3://bucket/ at AWS"),
        ("aws://bucket/a/b/", "s3://bucket/a/b at AWS"),
        ("gs://bucket/a", "gs://bucket/a at Google"),
        ("az://container/a", "az://container/a at http://azure.example.com"),
        ("file:///srv/a/", "file:///srv/a"),
    ],
)
def test_places_are_named_without_secrets(address: str, place: str) -> None:
    options = SourceOptions(
        s3=KEYS,
        gs={"skip_signature": "true"},
        az_endpoint="http://azure.example.com",
        az={"account_name": "a", "sas_key": "sv=1&sig=TOPSECRET"},
    )
    storage = open_storage(address, options)
    assert storage.place == place
    assert "TOPSECRET" not in repr(vars(storage))


@pytest.mark.parametrize(
    "address",
    [
        "/p",
        "http://host/p",
        "s3://",
        "s3:///p",
        "s3://b/a//b",
        "s3://b//a",
        "s3://b/../a",
        "s3://b/a/.",
        "s3://b/\n",
        "file://p",
        "file://",
        "file:///a\0b",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        open_storage(address)


def test_a_query_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as raised:
        open_storage("az://container/a?sv=1&sig=TOPSECRET")
    assert "TOPSECRET" not in raised.value.message + raised.value.next_step
