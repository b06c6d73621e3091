"""Twenty seconds of what `make stress` does for ten minutes."""

from __future__ import annotations

from pathlib import Path

from tests.stress.run import SEED, stress


def test_nothing_is_lost_under_stress(tmp_path: Path) -> None:
    """Writers, pushers, pullers, removals, collections, servers, kill -9; verify at each."""
    ledger = stress(tmp_path, SEED, 20, verify=True)
    assert ledger.violations == [], ledger.report()
    assert ledger.number("prepare: done"), ledger.report()
    assert ledger.number("in the end: pulled and equal"), ledger.report()
    assert ledger.number("damaged namespace: 500 damaged-store"), ledger.report()
    assert ledger.number("healthy namespace: right"), ledger.report()
    assert any(line.startswith("killed: ") for line in ledger.report())
