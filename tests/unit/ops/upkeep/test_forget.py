"""Which versions of a name a rule removes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casync.names.name import NameRecord
from casync.ops.upkeep.forget import KeepRule, forgettable

NOW = 1_000_000


def history(ages: list[int]) -> list[NameRecord]:
    return [
        NameRecord("a", version, bytes(32), NOW - age) for version, age in enumerate(ages, start=1)
    ]


def gone(ages: list[int], rule: KeepRule) -> list[int]:
    return [record.version for record in forgettable(history(ages), rule, NOW)]


def test_a_version_that_either_part_of_a_rule_keeps_stays() -> None:
    ages = [50, 40, 30, 20, 10]
    assert gone(ages, KeepRule(last=2)) == [1, 2, 3]
    assert gone(ages, KeepRule(within=30)) == [1, 2]
    assert gone(ages, KeepRule(last=4, within=30)) == [1]
    assert gone(ages, KeepRule(last=9)) == []


def test_a_name_is_never_forgotten_whole() -> None:
    assert gone([500], KeepRule(within=1)) == []
    assert gone([500, 400], KeepRule(within=1)) == [1]
    assert gone([], KeepRule(last=1)) == []


@given(st.lists(st.integers(0, 100)), st.integers(0, 6), st.integers(0, 100))
def test_the_rest_of_a_history_obeys_the_rule(ages: list[int], last: int, within: int) -> None:
    rule = KeepRule(last, float(within))
    left = [record for record in history(ages) if record.version not in gone(ages, rule)]
    assert left[-max(last, 1) :] == history(ages)[-max(last, 1) :]
    assert all(record in left for record in history(ages) if NOW - record.created <= within)
    assert forgettable(left, rule, NOW) == []
