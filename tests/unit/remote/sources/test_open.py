"""Addresses of sources: which texts are addresses, and what they name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casync.errors import UsageError
from casync.remote.sources.open import Sources, is_address
from casync.remote.sources.options import SourceOptions

HERE = SourceOptions(
    s3_endpoint="http://127.0.0.1:1",
    gs_endpoint="http://127.0.0.1:1",
    az_endpoint="http://127.0.0.1:1",
    az={"account_name": "account"},
)


@pytest.mark.parametrize(
    ("address", "label", "key"),
    [
        ("s3://bucket", "s3://bucket", ""),
        ("s3://bucket/", "s3://bucket", ""),
        ("s3://b.u-c_k/a/b", "s3://b.u-c_k", "a/b"),
        ("s3://bucket/a//b://c/", "s3://bucket", "a//b://c/"),
        ("aws://bucket/a%20b?c#d", "s3://bucket", "a%20b?c#d"),
        ("gs://bucket/a", "gs://bucket", "a"),
        ("gcp://bucket/a", "gs://bucket", "a"),
        ("az://container/a", "az://container", "a"),
        ("azure://$web/a", "az://$web", "a"),
    ],
)
def test_an_address_names_a_bucket_and_a_key(address: str, label: str, key: str) -> None:
    """D2."""
    assert is_address(address)
    with Sources(HERE) as sources:
        source, found = sources.open(address)
        assert (source.label, found) == (label, key)
        assert source.place == f"{label} at http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("address", "label", "key"),
    [
        ("http://host", "http://host", ""),
        ("http://host:80/", "http://host", ""),
        ("https://Host/a/b.tar", "https://host/a", "b.tar"),
        ("http://host:8080/a%2fb/c%20d?x=1&X-Amz-Signature=9#e", "http://host:8080/a%2fb", "c d"),
        ("http://user:secret@host/a/", "http://host/a", ""),
        ("http://[::1]:8080/\u00e9/\u00e9", "http://[::1]:8080/%C3%A9", "\u00e9"),
    ],
)
def test_a_url_names_a_folder_and_a_name_in_it(address: str, label: str, key: str) -> None:
    """D2."""
    with Sources() as sources:
        source, found = sources.open(address)
        assert (source.label, found) == (label, key)
        assert "secret" not in source.place
        assert source.place.startswith(label)


def test_the_place_of_a_url_depends_on_its_query_but_not_on_its_signature() -> None:
    base = "http://host/a?id=1"
    with Sources() as sources:
        places = [
            sources.open(base + more)[0].place
            for more in ("", "0", "&X-Amz-Signature=1&X-Amz-Date=2", "&X-Amz-Signature=3")
        ]
    assert places[0] == places[2] == places[3] != places[1]


def test_a_path_is_a_source_too(tmp_path: Path) -> None:
    """D2."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"1")
    with Sources() as sources:
        for address in (f"{tmp_path}/folder/", f"file://{tmp_path}/folder/"):
            source, key = sources.open(address)
            assert (source.label, key) == (f"file://{tmp_path}/folder", "")
            assert [found.key for found in source.list_below("")] == ["file"]
        source, key = sources.open(f"file://{tmp_path}/folder/file")
        assert (source.label, key) == (f"file://{tmp_path}/folder", "file")


@pytest.mark.parametrize("text", ["", "s3", "s3:", "s3:/bucket", "://", "a/gs://x"])
def test_a_text_without_a_scheme_is_a_path(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize("text", ["ftp://x/y", "git+ssh://x"])
def test_an_address_of_another_scheme_is_refused(text: str) -> None:
    with Sources() as sources:
        for judge in (is_address, sources.open):
            with pytest.raises(UsageError, match=r"^[a-z+]+:// is not supported$") as raised:
                judge(text)
            assert "s3://" in raised.value.next_step


LONG = "s3://" + "b" * 256


@pytest.mark.parametrize("text", ["s3:///key", "s3://-x/", "s3://a b", LONG, "gs://é/x"])
def test_a_bucket_has_a_name_that_its_scheme_allows(text: str) -> None:
    assert is_address(text)
    with Sources() as sources, pytest.raises(UsageError, match="is not the address of a bucket"):
        sources.open(text)


@pytest.mark.parametrize(
    "text", ["http://", "http:///a", "http://a b/", "http://host:0/", "file://a"]
)
def test_a_url_that_leads_nowhere_is_refused(text: str) -> None:
    with Sources() as sources, pytest.raises(UsageError):
        sources.open(text)


def test_any_number_of_folders_needs_one_descriptor(tmp_path: Path) -> None:
    """A template of paths opens a source for each of its items."""
    before = len(os.listdir("/proc/self/fd"))
    with Sources() as sources:
        kept = []
        for number in range(50):
            (tmp_path / f"{number}").mkdir()
            (tmp_path / f"{number}" / "file").write_bytes(b"%d" % number)
            kept.append(sources.open(f"file://{tmp_path}/{number}/file"))
        assert len(os.listdir("/proc/self/fd")) <= before + 1
        for number, (source, key) in enumerate(kept):
            answer = source.open(key)
            assert answer is not None
            with answer:
                assert b"".join(answer.blocks()) == b"%d" % number
