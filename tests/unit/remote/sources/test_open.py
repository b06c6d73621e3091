"""Addresses of buckets: which texts are addresses, and what they name."""

from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.remote.sources.base import SourceOptions
from casync.remote.sources.open import is_address, open_source


@pytest.mark.parametrize(
    ("address", "label", "key"),
    [
        ("s3://bucket", "s3://bucket", ""),
        ("s3://bucket/", "s3://bucket", ""),
        ("s3://b.u-c_k/a/b", "s3://b.u-c_k", "a/b"),
        ("s3://bucket/a//b\n://c/", "s3://bucket", "a//b\n://c/"),
    ],
)
def test_an_address_names_a_bucket_and_a_key(address: str, label: str, key: str) -> None:
    assert is_address(address)
    bucket, found = open_source(address, SourceOptions("http://127.0.0.1:1"))
    assert (bucket.label, found) == (label, key)
    assert bucket.place == f"{label} at http://127.0.0.1:1"


@pytest.mark.parametrize("text", ["", "s3", "s3:", "s3:/bucket", "S3://bucket", "://", "a/gs://x"])
def test_a_text_without_a_scheme_is_a_path(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(UsageError) as raised:
        open_source(text)
    assert raised.value.next_step == "Write s3://BUCKET/PREFIX."


@pytest.mark.parametrize("text", ["gs://x/y", "http://host/file", "git+ssh://x"])
def test_an_address_of_another_scheme_is_refused(text: str) -> None:
    for judge in (is_address, open_source):
        with pytest.raises(UsageError, match=r"^[a-z+]+:// is not supported; s3:// is$"):
            judge(text)


LONG = "s3://" + "b" * 256


@pytest.mark.parametrize("text", ["s3://", "s3:///key", "s3://-x/", "s3://a b", LONG])
def test_a_bucket_has_a_name_that_its_scheme_allows(text: str) -> None:
    assert is_address(text)
    with pytest.raises(UsageError, match="is not the address of a bucket"):
        open_source(text)
