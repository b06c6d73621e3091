"""Pandas, pyarrow, polars, WebDataset and PyTorch read a store unmodified; `make training`."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

import casync
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch
from casync.store.lmdb.store import LmdbStore

TABLE = "casync://tables/v1/-/rows.parquet"


def shard(number: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for sample in range(4):
            info = tarfile.TarInfo(f"{number}{sample}.txt")
            info.size = 2
            archive.addfile(info, io.BytesIO(b"%d%d" % (number, sample)))
    return made.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> str:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        names = []
        for number in range(5):
            file = casync.prepare(io.BytesIO(shard(number)), store).manifest
            names.append(NameUpdate(Name(f"shards/{number}.tar"), file))
        store.commit(Batch(names=names))
    return str(tmp_path / "store")


@pytest.fixture
def tables(store: str, tmp_path: Path) -> str:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    root = tmp_path / "root"
    root.mkdir()
    parquet.write_table(pyarrow.table({"a": [1, 2, 3]}), root / "rows.parquet")
    (root / "rows.csv").write_text("a\n1\n2\n3\n")
    with LmdbStore.open(Path(store)) as opened:
        tree = casync.prepare_tree(root, opened).manifest
        opened.commit(Batch(names=[NameUpdate(Name("tables/v1"), tree)]))
    return store


def test_pandas_reads_parquet_and_csv(tables: str) -> None:
    pandas = pytest.importorskip("pandas")
    for read, path in (
        (pandas.read_parquet, TABLE),
        (pandas.read_csv, "casync://tables/v1@1/-/rows.csv"),
    ):
        assert list(read(path, storage_options={"store": tables})["a"]) == [1, 2, 3]


def test_pyarrow_reads_a_data_set(tables: str) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("casync", store=tables)
    found = dataset.dataset("tables/v1/-/rows.parquet", filesystem=files, format="parquet")
    assert found.to_table()["a"].to_pylist() == [1, 2, 3]


def test_polars_reads_parquet_and_csv(tables: str) -> None:
    polars = pytest.importorskip("polars")
    fsspec = pytest.importorskip("fsspec")
    options = {"store": tables}
    found = polars.read_parquet(TABLE, use_pyarrow=True, storage_options=options)
    assert found["a"].to_list() == [1, 2, 3]
    with fsspec.open(TABLE, store=tables) as file:
        assert polars.read_parquet(file)["a"].to_list() == [1, 2, 3]
    with fsspec.open("casync://tables/v1/-/rows.csv", store=tables) as file:
        assert polars.read_csv(file)["a"].to_list() == [1, 2, 3]


def test_webdataset_reads_shards(store: str) -> None:
    webdataset = pytest.importorskip("webdataset")
    from casync.training.webdataset import register

    register(store=store)
    samples = webdataset.WebDataset("casync://shards/{0..1}.tar", shardshuffle=False)
    assert [one["txt"] for one in samples] == [b"%02d" % n for n in (0, 1, 2, 3, 10, 11, 12, 13)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_torch_share_the_shards(store: str, method: str) -> None:
    data: Any = pytest.importorskip("torch.utils.data")
    from casync.torch import MemberDataset

    dataset = MemberDataset([f"shards/{number}.tar" for number in range(5)], store=store)
    expected = sorted(b"%d%d" % (n, sample) for n in range(5) for sample in range(4))
    assert sorted(content for _, content in dataset) == expected  # and is open when workers start
    loader = data.DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context=method
    )
    assert sorted(content for _, content in loader) == expected
