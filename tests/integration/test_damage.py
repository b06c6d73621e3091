"""A dozen of the mutants of `make damage`."""

from __future__ import annotations

from pathlib import Path

from tests.damage.run import SEED, damage


def test_nothing_that_lives_is_lost_in_a_damaged_store(tmp_path: Path) -> None:
    findings = damage(tmp_path, 12, SEED)
    assert not findings.violations, "\n".join(findings.report())
    assert findings.seen["GET /v1/names: 500 damaged-store"] >= 6
    assert findings.seen["gc: exit 4"] >= 6
