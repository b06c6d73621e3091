"""What all tests share: stores, the program, how long hypothesis may search, and signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.support.program import Program

settings.register_profile(
    "house",
    deadline=None,
    max_examples=60,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "long",  # `make fuzz`
    parent=settings.get_profile("house"),
    max_examples=100_000,
    deadline=10_000,  # milliseconds; nothing that is so small may take longer
    database=None,
)
settings.load_profile("house")


def pytest_configure() -> None:
    """Lets the programs under test be interrupted.

    A shell starts a background job with SIGINT ignored. Programs inherit that, and ours respect it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests of a module that is marked with `stores` on a store of each of these kinds."""
    mark = metafunc.definition.get_closest_marker("stores")
    if mark is not None and "store" in metafunc.fixturenames:
        metafunc.parametrize("store", mark.args, indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryStore | LmdbStore]:
    """An empty store: in memory, or of the kind that the mark `stores` names."""
    if getattr(request, "param", "memory") == "memory":
        yield MemoryStore()
        return
    with LmdbStore.open(tmp_path / "store", create=True) as lmdb:
        yield lmdb


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program `casync`, with a home of its own."""
    return Program(tmp_path)
