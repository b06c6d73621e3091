"""The figures of bench equal those counted by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casync import api
from casync.access.progress import SILENT
from casync.errors import NoSpaceError, NotFoundError, UsageError
from casync.ids import Kind
from casync.limits import TIB
from casync.objects.chunker import ChunkerParams
from casync.ops.bench import BenchInput, Trial, look, measure, recommend
from casync.planning.origins import ByteOrigin
from casync.store.memory import MemoryStore
from tests.support.pulling import chunk_ids, noise

PARAMS = ChunkerParams(256, 1024, 4096)
OLD = noise(1, 300_000) + bytes(40_000) + noise(2, 100_000)
REPEATED = noise(5, 30_000)
NEW = OLD[:100_000] + noise(3, 777) + OLD[100_000:] + REPEATED + REPEATED + bytes(50_000)


class Stores:
    """Makes stores in memory, and keeps them for the test to inspect."""

    def __init__(self) -> None:
        self.made: dict[str, MemoryStore] = {}

    @contextmanager
    def make(self, path: Path) -> Iterator[MemoryStore]:
        yield self.made.setdefault(path.name, MemoryStore())


def files(folder: Path, old: bytes, new: bytes) -> tuple[Path, Path]:
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    return folder / "old", folder / "new"


def measured(folder: Path, old: bytes, new: bytes, stores: Stores | None = None) -> Trial:
    before, after = [look(path, SILENT) for path in files(folder, old, new)]
    place = folder / "place"
    place.mkdir()
    return measure(before, after, PARAMS, place, (stores or Stores()).make, SILENT)


def total(trial: Trial) -> dict[str, int]:
    return {origin.value: trial.origins.total(origin) for origin in ByteOrigin}


def test_each_chunk_that_old_lacks_travels_once(tmp_path: Path) -> None:
    stores = Stores()
    trial = measured(tmp_path, OLD, NEW, stores)
    origin = stores.made["origin"]
    had = set(chunk_ids(origin, trial.old.manifest))
    lacking = list(dict.fromkeys(i for i in chunk_ids(origin, trial.new.manifest) if i not in had))
    stats = origin.stat(Kind.CHUNK, lacking)
    frames = sum(stat.stored + 8 for stat in stats if stat is not None)
    ends = trial.plain.chunks - frames  # each answer ends with a frame of 8 bytes
    assert ends in range(8, 8 * trial.plain.requests + 1, 8)
    assert trial.new.new == len(lacking)
    assert total(trial)["travel"] == sum(stat.length for stat in stats if stat is not None)


def test_deltas_move_less_where_bytes_resemble_old_ones(tmp_path: Path) -> None:
    edited = bytearray(OLD)
    edited[:300_000:5_000] = bytes(60)  # a byte in every chunk or so
    trial = measured(tmp_path, OLD, bytes(edited))
    assert trial.delta.chunks < trial.plain.chunks / 5
    assert trial.delta.sent > trial.plain.sent
    assert trial.best == trial.delta


def test_origins_add_up_to_the_new_file(tmp_path: Path) -> None:
    found = total(measured(tmp_path, OLD, NEW))
    assert sum(found.values()) == len(NEW)
    assert found["same"] > 90_000
    assert found["moved"] > 300_000
    assert found["repeat"] > 20_000
    assert found["zero"] > 40_000
    assert 777 < found["travel"] < 50_000


@pytest.mark.parametrize(
    ("old", "new"), [(OLD, OLD), (b"", b""), (OLD, b""), (b"x", b"x"), (OLD, bytes(99_999))]
)
def test_content_that_is_there_needs_no_chunk(tmp_path: Path, old: bytes, new: bytes) -> None:
    trial = measured(tmp_path, old, new)
    assert total(trial)["travel"] == 0 or new == bytes(99_999)
    assert sum(total(trial).values()) == len(new)
    if old == new:
        for transfer in (trial.plain, trial.delta):
            assert transfer == transfer._replace(chunks=0, manifest=0, sent=0, requests=0)


def test_one_byte_to_another(tmp_path: Path) -> None:
    trial = measured(tmp_path, b"a", b"b")
    assert total(trial)["travel"] == 1
    assert trial.plain.chunks == 8 + 1 + 8
    assert trial.origins.cells == [[0, 0, 0, 0, 1]]


def test_the_same_file_twice(tmp_path: Path) -> None:
    path, _ = files(tmp_path, OLD, NEW)
    given = look(path, SILENT)
    (tmp_path / "place").mkdir()
    trial = measure(given, given, PARAMS, tmp_path / "place", Stores().make, SILENT)
    assert (trial.new.new, trial.plain.received) == (0, 0)
    assert trial.new.chunks == trial.whole.chunks > 0


def test_holes_are_not_data(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.write_bytes(noise(1, 1 << 20))
    os.truncate(path, 1 << 30)
    assert look(path, SILENT) == BenchInput(path, 1 << 30, 1 << 20)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        look(tmp_path / "absent", SILENT)
    with pytest.raises(UsageError):
        look(tmp_path, SILENT)


def test_too_little_space_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    huge = BenchInput(tmp_path / "huge", 1 << 60, 1024 * TIB)
    with pytest.raises(NoSpaceError, match=f"no space on {tmp_path}"):
        api.bench(huge, huge, PARAMS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    old, new = files(tmp_path, OLD, NEW)
    place = tmp_path / "place"
    place.mkdir()
    trial = api.bench(look(old, SILENT), look(new, SILENT), PARAMS, place)
    assert total(trial)["travel"] > 777
    assert list(place.iterdir()) == []
    old.unlink()
    with pytest.raises(NotFoundError):
        api.bench(BenchInput(old, 1, 1), look(new, SILENT), PARAMS, place)
    assert list(place.iterdir()) == []


# -- The recommendation ---------------------------------------------------------------------------


def choose(trial: Trial, moved: dict[int, int], length: int) -> int:
    """The size that is recommended when each moves so much."""
    trials = [
        trial._replace(
            params=ChunkerParams.from_average(size),
            new=trial.new._replace(length=length),
            plain=trial.plain._replace(chunks=count, manifest=0),
            delta=trial.delta._replace(chunks=2 * count, manifest=1),
        )
        for size, count in moved.items()
    ]
    return recommend(trials).params.avg_size


@pytest.mark.parametrize(
    ("moved", "length", "chosen"),
    [
        ({8192: 100, 16384: 100, 32768: 100}, 1, 32768),
        ({8192: 100, 16384: 110, 32768: 111}, 1, 16384),
        ({8192: 200, 16384: 100, 32768: 300}, 1, 16384),
        ({8192: 0, 16384: 1000, 32768: 1001}, 1_000_000, 16384),
        ({8192: 5}, 1, 8192),
    ],
)
def test_the_largest_size_that_is_nearly_the_best_is_recommended(
    tmp_path: Path, moved: dict[int, int], length: int, chosen: int
) -> None:
    assert choose(measured(tmp_path, b"a", b"b"), moved, length) == chosen
