import json
import random
import tarfile
import zipfile
from pathlib import Path

from benchmarks.corpora.database import build as build_database
from benchmarks.corpora.edits import edit
from benchmarks.corpora.releases import pack
from benchmarks.corpora.weights import build as build_weights
from benchmarks.scene import data_bytes, write_data
from benchmarks.suites.small import spread


def test_edits_are_deterministic_and_keep_most_bytes() -> None:
    old = random.Random(1).randbytes(1 << 20)
    new = edit(old, random.Random(2), 30)
    assert new == edit(old, random.Random(2), 30)
    assert new != old
    kept = sum(old[at : at + 256] in new for at in range(0, len(old), 4096))
    assert kept > len(old) // 4096 // 2


def test_weights_have_one_tensor_more_and_some_others(tmp_path: Path) -> None:
    build_weights(tmp_path, 1 / 4096)
    tensors = []
    for name in ("before.safetensors", "after.safetensors"):
        data = (tmp_path / name).read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        tensors.append(
            {
                key: data[end + value["data_offsets"][0] : end + value["data_offsets"][1]]
                for key, value in json.loads(data[8:end]).items()
            }
        )
    before, after = tensors
    assert after.keys() - before.keys() == {"adapter.weight"}
    assert sum(before[name] != after[name] for name in before) == 16
    assert all(len(tensor) == 2048 for tensor in after.values())


def test_databases_are_deterministic(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        build_database(tmp_path / name, 1 / 1024)
    for file in ("before.db", "after.db", "vacuumed.db"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_wheels_become_tars_without_times(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("b.py", "b = 1\n")
        archive.writestr("a.py", "a = 1\n")
    pack(wheel, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert [(entry.name, entry.mtime) for entry in tar] == [("a.py", 0), ("b.py", 0)]


def test_holes_are_spread_and_taken_out_again(tmp_path: Path) -> None:
    dense = tmp_path / "dense"
    dense.write_bytes(random.Random(3).randbytes(10 << 20))
    holed = spread(dense, tmp_path / "holed", 0.5)
    assert holed.stat().st_size >= 20 << 20
    assert data_bytes(holed) < 13 << 20
    assert write_data(holed, tmp_path / "again").read_bytes() == dense.read_bytes()
