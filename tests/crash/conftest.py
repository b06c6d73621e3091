"""Shared parts of the fault sweeps: marker, recorder, and summary lines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.recorder import Recorder

_SUMMARY = "crash"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.crash)


@pytest.fixture
def summary(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Records a line that is printed after all tests."""
    return lambda line: record_property(_SUMMARY, line)


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    return Recorder(tmp_path_factory.mktemp("recorder"))


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder in memory if there is one: these tests check order, not a disk."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="casync-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        f"{report.nodeid.rpartition('/')[2]}: {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for key, value in report.user_properties
        if key == _SUMMARY
    ]
    if lines:
        terminalreporter.section("fault sweeps")
        for line in sorted(lines):
            terminalreporter.write_line(line)
