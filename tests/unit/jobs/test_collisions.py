"""Objects with one name."""

from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.jobs import collisions
from casync.jobs.collisions import NameDigests, first_collision, refuse_collisions
from casync.jobs.template import parse_template


def found(names: list[str]) -> str | None:
    digests = NameDigests()
    for name in names:
        digests.add(name)
    return first_collision(names, digests.repeated())


def test_names_that_come_twice_are_found() -> None:
    names = [f"a/{number}" for number in range(5000)]
    assert found(names) is None
    assert found([*names, "a/77", "a/5"]) == "a/77"
    assert found(["b", "a", "a", "b"]) == "a"
    assert found([]) is None


def test_equal_digests_of_different_names_are_no_collision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collisions, "digest_of", lambda name: 7)
    assert found(["a", "b", "c"]) is None
    assert found(["a", "b", "a"]) == "a"


def test_ten_million_names_of_a_template_are_proved_by_a_rule() -> None:
    refuse_collisions(parse_template("a-{0..9999999}/b-{000..999}.tar"))


@pytest.mark.parametrize("text", ["{1..11}{1..11}", "{1..1000}1{1..1000}", "{1..9999}{1..9999}"])
def test_ranges_side_by_side_that_collide_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="name"):
        refuse_collisions(parse_template(text))


def test_ranges_side_by_side_that_do_not_collide_are_taken() -> None:
    refuse_collisions(parse_template("{1..20}{1..3}"))


def test_names_that_were_taken_are_found() -> None:
    digests = NameDigests()
    for number in range(1000):
        digests.add(f"name-{number}")
    assert all(f"name-{number}" in digests for number in range(1000))
    assert not any(f"name-{number}" in digests for number in range(1000, 2000))
