"""`--store` with an address, as a user runs it, in a folder that stands for a bucket."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from casync.bucket.lease import LeaseRecord, encode_lease
from tests.support.program import Program


@pytest.fixture
def bucket(program: Program, tmp_path: Path) -> str:
    address = f"file://{tmp_path}/bucket"
    program.good("prepare", "--store", address, "--name", "disk", stdin=b"first")
    return address


def test_commands_are_the_same_in_a_bucket(program: Program, bucket: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(random.Random(1).randbytes(3_000_000))
    store = ("--store", bucket)
    program.good("prepare", image, "--name", "disk", *store)
    assert len(program.good("name", "log", "disk", *store).lines) == 2
    assert program.good("cat", "disk@1", *store).out == b"first"
    program.good("pull", "disk", "-o", tmp_path / "copy", *store)
    assert (tmp_path / "copy").read_bytes() == image.read_bytes()
    program.good("rm", "disk@1", *store)
    assert len(program.good("rm", "--list", *store).lines) == 1
    program.good("undelete", "disk@1", *store)
    program.good("gc", *store)
    assert program.good("verify", *store, "--json").document["faults"] == []
    stats = program.good("store", "stats", *store, "--json").document
    assert (stats["path"], stats["manifests"]) == (bucket, 2)


def test_another_machine_reads_and_writes_the_same_bucket(
    program: Program, bucket: str, tmp_path: Path
) -> None:
    cache = str(tmp_path / "other")
    store = ("--store", bucket)
    assert program.good("cat", "disk", *store, XDG_CACHE_HOME=cache).out == b"first"
    program.good("prepare", "--name", "disk", *store, stdin=b"second", XDG_CACHE_HOME=cache)
    assert program.good("cat", "disk", *store).out == b"second"


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (["token", "ls"], ""),
        (["store", "compact"], "`casync gc` moves"),
        (["store", "reindex"], "`casync repair --server URL`"),
        (["store", "backup", "x"], "`casync store copy`"),
    ],
)
def test_commands_that_need_a_folder_say_so(
    program: Program, bucket: str, command: list[str], instead: str
) -> None:
    refused = program.run(*command, "--store", bucket)
    assert refused.status == 2
    assert "needs a store in a folder" in refused.err
    assert instead in refused.err


def test_what_lost_segments_had_can_be_prepared_again(program: Program, bucket: str) -> None:
    store = ("--store", bucket)
    for segment in Path(bucket.removeprefix("file://"), "seg").glob("*/*"):
        segment.unlink()
    found = program.run("verify", *store)
    assert found.status == 4
    assert "`casync gc --window 0`" in found.err
    program.good("rm", "disk", *store)
    program.good("gc", "--window", "0", *store)
    program.good("gc", "--window", "0", *store)
    program.good("prepare", "--name", "disk", *store, stdin=b"first")
    assert program.good("cat", "disk", *store).out == b"first"
    program.good("verify", *store)


def test_a_collection_of_another_host_is_named_and_not_repeated(
    program: Program, bucket: str
) -> None:
    lease = Path(bucket.removeprefix("file://")) / "lease" / "gc"
    lease.parent.mkdir()
    now = int(time.time())
    record = LeaseRecord("ab" * 16, "far.example.com, process 7", now, now, 30)
    lease.write_bytes(encode_lease(record))
    refused = program.run("gc", "--store", bucket)
    assert refused.status == 7
    assert "running on far.example.com, process 7" in refused.err
    program.good("gc", "--dry-run", "--store", bucket)
    lease.unlink()
    program.good("gc", "--store", bucket)
    assert not lease.exists()


def test_downloads_are_jobs_of_the_bucket_on_every_machine(
    program: Program, bucket: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        (source / f"{number}.bin").write_bytes(bytes([number]) * 1000)
    store, other = ("--store", bucket), str(tmp_path / "other")
    made = program.good("download", f"{source}/", "set/", *store)
    job = made.text.split()[0]
    assert job in program.good("job", "ls", *store, XDG_CACHE_HOME=other).text
    shown = program.good("job", "show", job, "--json", *store, XDG_CACHE_HOME=other).document
    assert shown["finished_cnt"] == 3
    assert program.good("cat", "set/2.bin", *store, XDG_CACHE_HOME=other).out == b"\2" * 1000
    refused = program.run("job", "start", job, *store, XDG_CACHE_HOME=other)
    assert (refused.status, "is finished" in refused.err) == (2, True)
    program.good("job", "rm", job, *store, XDG_CACHE_HOME=other)
    assert program.good("job", "ls", *store).text == ""
    assert not any(Path(bucket.removeprefix("file://")).glob("lease/*"))


def test_there_is_no_store_where_none_was_made(program: Program, tmp_path: Path) -> None:
    refused = program.run("ls", "--store", f"file://{tmp_path}/none")
    assert refused.status == 9
    assert "no store at" in refused.err


@pytest.mark.parametrize(
    ("place", "right"),
    [("file:/srv/x", "file:///srv/x"), ("s3:bucket/x", "s3://bucket/x"), ("az:/c", "az://c")],
)
def test_an_address_with_a_slash_too_few_is_no_folder(
    program: Program, place: str, right: str
) -> None:
    refused = program.run("ls", "--store", place)
    assert refused.status == 2
    assert f"Write {right}; a folder of that name is ./{place}." in refused.err


def test_a_folder_that_has_vanished_is_missing_and_not_damaged(
    program: Program, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "bucket").rename(tmp_path / "moved")
    refused = program.run("ls", "--store", bucket)
    assert refused.status == 9
    assert "no store at" in refused.err


def test_a_site_in_azure_without_an_account_says_what_is_missing(
    program: Program, bucket: str
) -> None:
    refused = program.run("publish", "disk", "az://container/site", "--store", bucket)
    assert refused.status == 2
    assert "Set AZURE_STORAGE_ACCOUNT." in refused.err
