"""`--store` with an address, as a user runs it, in a folder that stands for a bucket."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from casync.bucket.lease import LeaseRecord, encode_lease
from tests.integration.test_static_sites import serve as web_server
from tests.support.preparing import noise
from tests.support.program import Program
from tests.support.serving import server_of, until


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


def test_figures_of_a_bucket_are_not_those_of_a_file(program: Program, bucket: str) -> None:
    stats = ("store", "stats", "--store", bucket)
    labels = {line.split("\t")[0] for line in program.good(*stats).lines}
    assert "live" in labels
    assert not {"free", "file", "map"} & labels
    document = program.good(*stats, "--json").document
    assert [document[key] for key in ("free", "file", "map")] == [None] * 3


@pytest.mark.parametrize("command", ["ls", "serve"])
def test_a_cache_that_cannot_be_written_says_where_to_put_it(
    program: Program, bucket: str, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").touch()
    cache = str(tmp_path / "file")
    refused = program.run(command, "--store", bucket, XDG_CACHE_HOME=cache)
    assert refused.status == 1
    assert f"cannot write {cache}/casync/buckets/" in refused.err
    assert "set XDG_CACHE_HOME to a folder that is" in refused.err


def test_damaged_tables_of_a_bucket_are_removed_and_read_again(
    program: Program, bucket: str, tmp_path: Path
) -> None:
    cache = str(tmp_path / "damaged")
    program.good("ls", "--store", bucket, XDG_CACHE_HOME=cache)
    (data,) = (tmp_path / "damaged/casync/buckets").glob("*/data.mdb")
    os.truncate(data, 100)
    refused = program.run("ls", "--store", bucket, XDG_CACHE_HOME=cache)
    assert refused.status == 4
    assert f"Remove {data.parent}: it is read from the bucket again." in refused.err
    shutil.rmtree(data.parent)
    assert program.good("cat", "disk", "--store", bucket, XDG_CACHE_HOME=cache).out == b"first"


def test_a_namespace_needs_a_store_that_create_makes(program: Program, tmp_path: Path) -> None:
    address = f"file://{tmp_path}/empty"
    tokens = ("--tokens", tmp_path / "tokens", "--store", address)
    program.good("token", "new", "--create", "--store", tmp_path / "tokens")
    refused = program.run("token", "new", "--namespace", "acme", *tokens)
    assert refused.status == 9
    assert f"no store at {address}" in refused.err
    assert "`token new --create`" in refused.err
    program.good("token", "new", "--namespace", "acme", "--create", *tokens)
    program.good("token", "new", "--namespace", "other", *tokens)
    program.good("prepare", "--store", f"{address}/namespaces/acme", stdin=b"theirs")
    assert program.good("ls", "--store", address).lines == []


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
    assert f"no store at file://{tmp_path}/none. `prepare`, `serve --writable` and " in refused.err


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


def test_a_store_is_copied_between_folders_and_buckets(
    program: Program, bucket: str, tmp_path: Path
) -> None:
    folder, other = tmp_path / "folder", f"file://{tmp_path}/other"
    planned = program.good("store", "copy", bucket, folder, "--dry-run", "--json").document
    assert not folder.exists()
    copied = program.good("store", "copy", bucket, folder, "--json").document
    assert {**planned, "dry_run": False} == copied
    assert (copied["versions"], copied["manifests"], copied["left_out"]) == (1, 1, 0)
    assert "nothing was copied" in program.good("store", "copy", folder, other, "--dry-run").err
    program.good("store", "copy", folder, other)
    assert program.good("store", "copy", bucket, other, "--json").document["objects"] == 0
    for place in (folder, other):
        assert program.good("cat", "disk", "--store", place).out == b"first"
    program.good("prepare", "--name", "disk", "--store", folder, stdin=b"second")
    program.good("prepare", "--name", "disk", "--store", other, stdin=b"another")
    refused = program.run("store", "copy", folder, other)
    assert (refused.status, "differ in what disk@2 stands for" in refused.err) == (2, True)
    for same in (folder, f"{folder}/"):
        assert program.run("store", "copy", folder, same).status == 2
    assert program.run("store", "copy", folder, other, "--store", folder).status == 2


def test_a_copy_that_is_killed_is_finished_by_the_same_command(
    program: Program, tmp_path: Path
) -> None:
    image = random.Random(3).randbytes(80_000_000)
    program.good("prepare", "--name", "disk", stdin=image)
    command = ("store", "copy", program.store, f"file://{tmp_path}/bucket")
    with program.start(*command) as process:
        until(lambda: any((tmp_path / "bucket" / "seg").rglob("*")), "a segment")
        process.kill()
        process.wait()
    program.good(*command)
    there = ("--store", f"file://{tmp_path}/bucket")
    assert program.good("cat", "disk", *there).out == image
    assert program.good("verify", *there, "--json").document["faults"] == []


def test_a_folder_a_bucket_a_replica_and_a_site_give_the_same_bytes(
    program: Program, tmp_path: Path
) -> None:
    image = random.Random(4).randbytes(3_000_000)
    program.good("prepare", "--name", "disk", stdin=image)
    bucket = f"file://{tmp_path}/bucket"
    program.good("store", "copy", program.store, bucket)
    program.good("publish", "disk", tmp_path / "site")
    serve = ("serve", "--listen", "127.0.0.1:0", "--store")
    options = {"stdout": subprocess.DEVNULL, "start_new_session": True}
    with (
        server_of(program.start(*serve, program.store, **options)) as disk,
        server_of(program.start(*serve, bucket, **options)) as replica,
        web_server(tmp_path / "site") as site,
    ):
        for number, url in enumerate((disk.url, replica.url, site.url)):
            out, empty = tmp_path / f"out{number}", tmp_path / f"empty{number}"
            program.good("pull", "disk", "-o", out, "--server", url, "--store", empty)
            assert out.read_bytes() == image


def test_the_index_of_an_archive_is_kept_in_the_bucket(program: Program, bucket: str) -> None:
    """So a site that is published from it has the index, and members come without the archive."""
    folder = program.home / "members"
    folder.mkdir()
    for number in range(20):
        (folder / str(number)).write_bytes(noise(1000, number))
    program.good("archive", "create", "set.tar", f"{folder}/", "--store", bucket)
    stats = ("store", "stats", "--store", bucket, "--json")
    before = program.good(*stats).document["objects"]
    assert len(program.good("archive", "ls", "set.tar", "--store", bucket).lines) == 20
    assert program.good(*stats).document["objects"] != before
