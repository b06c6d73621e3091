"""The functions for scripts take text and `Path` alike for every path, and text for refs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

import casync
from casync import api
from casync.access.progress import SILENT
from casync.errors import UsageError
from casync.fs.paths import StrPath
from casync.objects.chunker import ChunkerParams
from casync.ops.bench import look
from tests.support.pulling import noise
from tests.support.serving import serving

DATA = noise(1, 100_000)
As = Callable[[Path], StrPath]


class Named:
    """An object of another library that stands for a path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.fixture(params=[str, Path, Named])
def kind(request: pytest.FixtureRequest) -> As:
    """How a path is given."""
    made: As = request.param
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a file, a folder with that file, and a store of both."""
    (tmp_path / "file").write_bytes(DATA)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_bytes(DATA)
    return tmp_path


def test_a_file_is_prepared_read_pulled_and_checked(place: Path, kind: As) -> None:
    with casync.open_store(kind(place / "store"), create=True) as store:
        ref = casync.prepare(kind(place / "file"), store).manifest.hex()
        with casync.open_ref(ref, store) as file:
            assert file.read() == DATA
        plan = casync.forecast(ref, kind(place / "out"), store=store)
        assert plan.missing == 0
        options = casync.PullOptions(seeds=(kind(place / "file"),))
        casync.pull(ref, kind(place / "out"), store=store, options=options)
        assert (place / "out").read_bytes() == DATA
        differences: list[bytes] = []
        done = api.check(ref, kind(place / "out"), store, lambda path, _: differences.append(path))
        assert (done.ok_files, differences) == (1, [])
        assert list(api.diff(ref, ref, store)) == []


def test_a_folder_is_prepared_pulled_and_checked(place: Path, kind: As) -> None:
    with casync.open_store(kind(place / "store"), create=True) as store:
        ref = casync.prepare_tree(kind(place / "folder"), store).manifest.hex()
        assert casync.forecast(ref, kind(place / "to"), store=store).missing == 0
        options = casync.PullOptions(seeds=(kind(place / "folder"),))
        casync.pull(ref, kind(place / "to"), store=store, options=options)
        assert (place / "to" / "inner").read_bytes() == DATA
        assert api.check(ref, kind(place / "to"), store, lambda *_: None).ok_files == 1
        casync.pull(f"{ref}:inner", kind(place / "out"), store=store)
        assert (place / "out").read_bytes() == DATA


def test_streams_take_the_place_of_paths(place: Path) -> None:
    with casync.open_store(place / "store", create=True) as store:
        ref = casync.prepare(io.BytesIO(DATA), store).manifest.hex()
        with (place / "file").open("rb") as file:
            assert casync.prepare(file, store).manifest.hex() == ref
        out = io.BytesIO()
        casync.pull(ref, out, store=store)
        assert out.getvalue() == DATA


def test_push_and_repair_take_refs_as_text(place: Path) -> None:
    with casync.open_store(place / "store", create=True) as store:
        ref = casync.prepare(place / "file", store).manifest.hex()
        with serving(place / "server", writable=True) as server:
            assert casync.push(ref, server.url, store=store).published
            assert api.repair(store, [ref], servers=[server.url]).faults == []
            with casync.RemoteClient(server.url) as client, casync.open_ref(ref, client) as file:
                assert file.read() == DATA


def test_a_bench_takes_any_path_for_its_folder(place: Path, kind: As) -> None:
    one = look(place / "file", SILENT)
    trial = api.bench(one, one, ChunkerParams.from_average(4096), kind(place))
    assert trial.new.new == 0


def test_authorities_are_given_by_any_path(place: Path, kind: As) -> None:
    (place / "ca.pem").write_text("no certificate")
    options = casync.TransportOptions(ca=kind(place / "ca.pem"), retry_for=0)
    with pytest.raises(UsageError, match="cannot read the authorities"):
        casync.pull("0" * 64, place / "out", servers=["https://127.0.0.1:1"], transport=options)


def test_an_empty_path_is_refused(place: Path) -> None:
    """`Path` would take it for the current folder."""
    with pytest.raises(UsageError, match="an empty path"):
        casync.open_store("")
    with casync.open_store(place / "store", create=True) as store:
        ref = casync.prepare(place / "file", store).manifest.hex()
        for act in (
            lambda: casync.prepare("", store),
            lambda: casync.prepare_tree("", store),
            lambda: casync.pull(ref, "", store=store),
            lambda: casync.forecast(ref, "", store=store),
            lambda: api.check(ref, "", store, lambda *_: None),
        ):
            with pytest.raises(UsageError, match="an empty path"):
                act()
