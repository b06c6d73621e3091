"""Names of another casync as a folder: what is here already does not travel."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from casync import api
from casync.errors import UsageError
from casync.fs.exclude import Exclusion
from casync.fs.scan_cache import ScanCache
from casync.names.name import Ref, parse_name
from casync.objects.chunker import ChunkerParams
from casync.ops.prepare.address import prepare_address
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.local_first import LocalFirst
from casync.remote.sources.open import Sources
from casync.store.lmdb.store import LmdbStore
from tests.support.serving import put_file, serving

OLD = random.Random(5).randbytes(3_000_000)
NEW = OLD[:2_000_000] + b"other" * 100 + OLD[2_000_000:]


@pytest.mark.parametrize("average", [16 * 1024, 64 * 1024])
def test_only_chunks_that_are_missing_travel(tmp_path: Path, average: int) -> None:
    """D2: also into a folder with other chunk sizes, for which all is cut anew."""
    with (
        LmdbStore.open(tmp_path / "there", create=True) as there,
        LmdbStore.open(tmp_path / "here", create=True) as here,
    ):
        for store, data, name in ((there, NEW, "set/a"), (here, OLD, "old")):
            (tmp_path / "file").write_bytes(data)
            api.prepare(tmp_path / "file", store, PrepareOptions(name=parse_name(name)))
        put_file(there, b"small", name="set/d/b")
        options = PrepareOptions(params=ChunkerParams.from_average(average))
        with serving(there.path) as server, Sources() as sources:
            source, key = sources.open(f"casync://127.0.0.1:{server.port}/set/")
            answer = source.open("set/a")
            assert answer is not None
            assert answer.replica is not None
            client = answer.replica.server
            before = client.traffic.received
            folder = prepare_address(
                source,
                key,
                here,
                options,
                excluded=Exclusion([], []),
                scan_cache=ScanCache(tmp_path / "scans"),
            )
            assert client.traffic.received - before < 100_000
        api.pull(Ref(manifest=folder.manifest), tmp_path / "copy", store=here)
    assert (tmp_path / "copy/a").read_bytes() == NEW
    assert (tmp_path / "copy/d/b").read_bytes() == b"small"


def test_a_part_is_answered_as_the_source_does(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "there", create=True) as there:
        put_file(there, NEW, name="a")
        with serving(there.path) as server, Sources() as sources:
            plain, _ = sources.open(f"casync://127.0.0.1:{server.port}/")
            source = LocalFirst(plain, there)
            listed = source.find("a")
            assert listed is not None
            for start, end in ((0, None), (10, None), (10, 2_500_000)):
                answer = source.open("a", start, end, same=listed.validators)
                assert answer is not None
                with answer:
                    assert b"".join(answer.blocks()) == NEW[start:end]
            assert source.open("a", unless=listed.validators) is None


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "there", create=True) as there:
        (tmp_path / "folder").mkdir()
        tree = api.prepare_tree(tmp_path / "folder", there, PrepareOptions())
        with serving(there.path) as server, Sources() as sources:
            plain, _ = sources.open(f"casync://127.0.0.1:{server.port}/")
            answer = LocalFirst(plain, there).open(tree.manifest.hex())
            assert answer is not None
            with answer, pytest.raises(UsageError):
                b"".join(answer.blocks())
