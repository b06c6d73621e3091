"""Jobs whose source is another casync: what travels are the chunks that are missing here."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync import api
from casync.jobs.item import Item
from casync.jobs.job import JobRow, JobState
from casync.jobs.object_list import read_object_list
from casync.jobs.request import given_items, specify
from casync.jobs.spec import JobSpec, SourceKind
from casync.names.name import parse_name, parse_ref
from casync.names.token import TokenScope
from casync.ops.download.run import run_job, start_or_continue
from casync.ops.prepare.file import PrepareOptions
from casync.remote.sources.item_sources import ItemSources
from casync.remote.sources.options import SourceOptions
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, options
from tests.support.gateways import breaking_line
from tests.support.serving import put_file, serving

OLD = random.Random(5).randbytes(3_000_000)
NEW = OLD[:2_000_000] + b"other" * 100 + OLD[2_000_000:]


@pytest.fixture
def there(tmp_path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(tmp_path / "there", create=True) as store:
        yield store


@pytest.fixture
def url(there: LmdbStore) -> Iterator[str]:
    with serving(there.path) as server:
        yield f"casync://127.0.0.1:{server.port}"


def run(
    store: MemoryStore | LmdbStore,
    source: str,
    dest: str = "ds/",
    objects: bytes = b"",
    **changes: object,
) -> JobRow:
    wanted = JobSpec(source, dest, SourceKind.OBJECT, **changes)  # type: ignore[arg-type]
    spec = specify(wanted, hashlib.sha256(objects).digest() if objects else b"")
    given: Iterator[Item] | None = None
    if objects:
        given = given_items(spec, read_object_list([objects]))
    with (
        start_or_continue(store, spec, time.time()) as claim,
        ItemSources(claim.spec, SourceOptions()) as sources,
    ):
        return run_job(store, claim, sources, options(attempts=2), given=given)


def test_all_names_below_a_prefix_are_pulled_and_keep_their_hashes(
    store: MemoryStore, there: LmdbStore, url: str
) -> None:
    """D2, D7: another casync is a source; its names stay what they are."""
    files = {"set/a": b"one", "set/d/b": OLD, "set/x%3ay": b"odd", "set/empty": b"", "top": b"no"}
    hashes = {name: put_file(there, data, name=name) for name, data in files.items()}
    row = run(store, f"{url}/set/")
    assert (row.state, row.counts.finished, row.counts.failed) == (JobState.FINISHED, 4, 0)
    expected = {"ds/a": b"one", "ds/d/b": OLD, "ds/x%3ay": b"odd", "ds/empty": b""}
    assert contents(store) == expected
    assert store.resolve(parse_ref("ds/d/b")) == hashes["set/d/b"]

    again = run(store, f"{url}/set/")
    assert (again.counts.finished, again.counts.skipped, again.counts.fetched) == (0, 4, 0)


@pytest.mark.parametrize("store", ["memory", "lmdb"], indirect=True)
def test_only_chunks_that_are_missing_travel(
    store: MemoryStore | LmdbStore, there: LmdbStore, url: str, tmp_path: Path
) -> None:
    """D2: the manifest first, then what the store lacks."""
    file = tmp_path / "file"
    for data, version in ((OLD, 1), (NEW, 2)):
        file.write_bytes(data)
        there_is = api.prepare(file, there, PrepareOptions(name=parse_name("vm")))
        row = run(store, f"{url}/vm", "here")
        assert (row.counts.finished, row.counts.bytes) == (1, len(data))
        assert store.resolve(parse_ref("here")) == there_is.manifest
        assert len(store.history(parse_name("here"))) == version
    assert 0 < row.counts.fetched < 1_000_000
    assert contents(store) == {"here": NEW}


def test_a_version_and_a_hash_are_objects_too(
    store: MemoryStore, there: LmdbStore, url: str
) -> None:
    """D2."""
    first = put_file(there, OLD, name="vm")
    second = put_file(there, NEW, name="vm")
    run(store, f"{url}/vm@1", "old")
    run(store, f"{url}/{second.hex()}", "new")
    assert contents(store) == {"old": OLD, "new": NEW}
    assert store.resolve(parse_ref("old")) == first


def test_a_folder_is_one_object(
    store: MemoryStore, there: LmdbStore, url: str, tmp_path: Path
) -> None:
    """D2: a name of a tree comes with the whole tree."""
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside/file").write_bytes(OLD)
    os.symlink("file", folder / "inside/link")
    tree = api.prepare_tree(folder, there, PrepareOptions(name=parse_name("www")))
    row = run(store, f"{url}/www", "mirror/")
    assert (row.counts.finished, row.counts.failed) == (1, 0)
    assert store.resolve(parse_ref("mirror/www")) == tree.manifest
    with api.open_ref("mirror/www:inside/file", store) as file:
        assert file.read() == OLD


def test_what_a_list_says_of_an_object_is_verified(
    store: MemoryStore, there: LmdbStore, url: str
) -> None:
    """D6, D11."""
    for name in ("good", "bad", "short"):
        put_file(there, OLD, name=name)
    entries = [
        {"url": "good", "sha256": hashlib.sha256(OLD).hexdigest(), "size": len(OLD)},
        {"url": "bad", "sha256": hashlib.sha256(NEW).hexdigest()},
        {"url": "short", "size": 5},
        {"url": "missing"},
        {"url": "good:inside"},
    ]
    row = run(store, f"{url}/", objects="\n".join(map(json.dumps, entries)).encode())
    assert (row.counts.finished, row.counts.failed) == (1, 4)
    assert set(contents(store)) == {"ds/good"}
    found = {fault.name: fault.kind for fault in store.jobs.faults(row.id)}
    assert found["ds/bad"] == "checksum"
    assert found["ds/short"] == "short_body"
    assert found["ds/missing"] == "http"


def test_a_job_keeps_a_token_for_the_other_side(store: MemoryStore, there: LmdbStore) -> None:
    """D2, D10: as a header field, which is a secret; without it the objects fail at once."""
    put_file(there, OLD, name="vm")
    token, _ = there.tokens.issue(TokenScope.READ)
    with serving(there.path) as server:
        source = f"casync://127.0.0.1:{server.port}/vm"
        row = run(store, source, "vm")
        (fault,) = store.jobs.faults(row.id)
        assert (row.counts.failed, fault.kind, fault.status) == (1, "http", 401)
        row = run(store, source, "vm", headers=(("Authorization", f"Bearer {token}"),))
        assert (row.counts.finished, row.counts.failed) == (1, 0)
    assert token not in repr(row)


def test_an_object_goes_on_where_the_line_broke(store: MemoryStore, there: LmdbStore) -> None:
    """D10, D11: what came before the line broke need not come again."""
    data = random.Random(9).randbytes(24_000_000)
    put_file(there, data, name="vm", size=1 << 14)
    with (
        serving(there.path) as server,
        breaking_line(server.port, 1 << 40, down=10_000_000) as line,
    ):
        row = run(store, line.replace("http://", "casync+http://") + "/vm", "vm")
    assert (row.counts.finished, row.counts.failed) == (1, 0)
    assert len(data) < row.counts.fetched < 1.5 * len(data)
    assert contents(store) == {"vm": data}
