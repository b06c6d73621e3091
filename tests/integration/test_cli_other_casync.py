"""`prepare`, `get` and `ls` of another casync, as a user runs them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync import api
from casync.names.name import parse_name
from casync.names.token import TokenScope
from casync.ops.prepare.file import PrepareOptions
from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program
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


def test_a_file_of_another_casync_keeps_its_hash(
    program: Program, there: LmdbStore, url: str, tmp_path: Path
) -> None:
    """D2: only the chunks that the store lacks travel."""
    (tmp_path / "vm.img").write_bytes(OLD)
    old = program.good("prepare", "vm.img").lines[0]
    (tmp_path / "vm.img").write_bytes(NEW)
    new = api.prepare(tmp_path / "vm.img", there, PrepareOptions(name=parse_name("images/vm")))
    got = program.good("get", f"{url}/images/vm", "-o", "copy", "--name", "vm", "--json").document
    assert (got["manifest"], got["length"]) == (new.manifest.hex(), len(NEW))
    assert (got["name"], got["version"], got["outcome"]) == ("vm", 1, "written")
    assert got["manifest"] != old
    assert 0 < got["stored"] < 1_000_000
    assert (program.home / "copy").read_bytes() == NEW
    again = program.good("prepare", f"{url}/images/vm", "--name", "vm", "--json").document
    assert (again["unchanged"], again["stored"], again["version"]) == (True, 0, 1)

    assert program.good("ls", f"{url}/").text.split() == ["images/"]
    assert program.good("ls", f"{url}/images/vm").text.split()[-1] == "vm"
    missing = program.run("get", f"{url}/images/other")
    assert missing.status == 9
    assert "there is no name images/other" in missing.err


def test_a_folder_of_another_casync_keeps_its_hash(
    program: Program, there: LmdbStore, url: str, tmp_path: Path
) -> None:
    """D2."""
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside/file").write_bytes(OLD)
    os.symlink("file", folder / "inside/link")
    tree = api.prepare_tree(folder, there, PrepareOptions(name=parse_name("www")))
    got = program.good("prepare", f"{url}/www", "--name", "mirror", "--json").document
    assert (got["manifest"], got["files"], got["folders"], got["others"]) == (
        tree.manifest.hex(),
        1,
        2,
        1,
    )
    program.good("pull", "mirror", "-o", "copy")
    assert (program.home / "copy/inside/file").read_bytes() == OLD
    refused = program.run("get", f"{url}/www")
    assert refused.status == 2
    assert f"casync prepare {url}/www" in refused.err


def test_names_of_another_casync_become_a_folder(
    program: Program, there: LmdbStore, url: str
) -> None:
    """D2, D7: a prefix of names is a folder of files, like a prefix of keys."""
    put_file(there, OLD, name="set/d/a")
    put_file(there, b"two", name="set/b")
    program.good("prepare", f"{url}/set/", "--name", "set")
    program.good("pull", "set", "-o", "copy")
    assert (program.home / "copy/d/a").read_bytes() == OLD
    assert (program.home / "copy/b").read_bytes() == b"two"


def test_the_token_for_another_casync_is_the_usual_one(program: Program, there: LmdbStore) -> None:
    """D2: CASYNC_TOKEN, a file, or the configuration of the server."""
    put_file(there, OLD, name="vm")
    token, _ = there.tokens.issue(TokenScope.READ)
    with serving(there.path) as server:
        address = f"casync://127.0.0.1:{server.port}/vm"
        denied = program.run("get", address)
        assert denied.status == 8
        program.good("get", address, CASYNC_TOKEN=token)
        (program.home / "token").write_text(token)
        (program.home / "token").chmod(0o600)
        program.good("get", address, CASYNC_TOKEN_FILE=str(program.home / "token"))
        config = program.home / "config.toml"
        config.write_text(f'[server."{server.url}"]\ntoken_file = "{program.home}/token"\n')
        program.good("get", address, CASYNC_CONFIG=str(config))


def test_a_job_downloads_names_of_another_casync(
    program: Program, there: LmdbStore, url: str
) -> None:
    """D1, D2, D7."""
    for number in range(30):
        put_file(there, b"%d" % number, name=f"set/{number:02d}")
    hashes = {put_file(there, OLD, name="set/large").hex()}
    program.good("download", f"{url}/set/", "ds/", "--max-conns", "4")
    assert len(program.good("ls", "ds/*").lines) == 31
    assert program.good("show", "ds/large", "--json").document["manifest"] in hashes
    again = program.good("download", f"{url}/set/", "ds/", "--json").lines[-1]
    assert '"total": 31' in again
    assert '"fetched_bytes": 0' in again
    program.good("download", f"{url}/set/large", "alone", "--dry-run")
