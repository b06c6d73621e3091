"""The items of a job that follow from its address."""

from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.jobs.spec import JobSpec, SourceKind
from casync.ops.download.items import AddressedItems


def items(source: str, dest: str = "ds/", **changes: object) -> AddressedItems:
    kind = SourceKind.TEMPLATE if "{" in source else SourceKind.OBJECT
    return AddressedItems(JobSpec(source, dest, kind, **changes))  # type: ignore[arg-type]


def test_a_template_makes_its_items_one_by_one() -> None:
    """D3: ten million names cost nothing, and keep the path from what varies."""
    made = items("https://host/set/{00..99}/shard-{000000..099999}.tar?sig=%2F")
    assert len(made) == 10_000_000
    last = made[9_999_999]
    assert last.key == "https://host/set/99/shard-099999.tar?sig=%2F"
    assert (last.name, last.is_url) == ("ds/99/shard-099999.tar", True)


def test_flat_names_are_the_last_component() -> None:
    made = items("https://host/{7..7}/a-{0..9}", flatten=True)
    assert made[3].name == "ds/a-3"
    with pytest.raises(UsageError, match="one name"):
        items("https://host/{0..9}/a", flatten=True)


def test_shares_of_a_template_are_disjoint_and_complete() -> None:
    """D3: `--part K/N` of a template."""
    found = []
    for part in (1, 2, 3):
        made = items("https://host/{0..9}", part=part, shares=3)
        found += [made[index].key for index in range(len(made))]
    assert sorted(found) == [f"https://host/{number}" for number in range(10)]


def test_names_that_ranges_side_by_side_would_share_are_refused() -> None:
    with pytest.raises(UsageError):
        items("https://host/{1..11}{1..11}").check()


def test_a_single_object_takes_its_last_component_or_the_whole_destination() -> None:
    """D4: a destination with a slash is a folder, one without is the name."""
    assert items("https://host/d/a%20b.tgz?v=1")[0].name == "ds/a b.tgz"
    assert items("https://host/d/a.tgz", "ds/other.tgz")[0].name == "ds/other.tgz"
    assert len(items("https://host/d/a.tgz")) == 1
    assert len(items("https://host/d/a.tgz", part=2, shares=2)) == 0


def test_a_template_without_an_end_is_refused() -> None:
    spec = JobSpec("https://host/d/%06d", "ds/", SourceKind.TEMPLATE)
    with pytest.raises(UsageError, match="without an end"):
        AddressedItems(spec)
