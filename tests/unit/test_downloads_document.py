"""docs/DOWNLOADS.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from casync.jobs.address import parse_address
from casync.jobs.backoff import Attempts, RetryPolicy, is_temporary
from casync.jobs.checksum import _HASHES
from casync.jobs.naming import label_template, name_below
from casync.jobs.object_list import _ALGORITHMS, read_object_list
from casync.jobs.request import specify
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.template import address_template

TEXT = (Path(__file__).parents[2] / "docs" / "DOWNLOADS.md").read_text()
MEANINGS = {
    "one object": SourceKind.OBJECT,
    "everything below it": SourceKind.LISTING,
    "everything that begins so": SourceKind.LISTING,
    "a template": SourceKind.TEMPLATE,
}


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without its head and without backticks."""
    section = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]


def asked(source: str, dest: str = "set/") -> JobSpec:
    return specify(JobSpec(source, dest, SourceKind.OBJECT))


@pytest.mark.parametrize(("source", "meaning"), table("What a source stands for"))
def test_sources(source: str, meaning: str) -> None:
    assert asked(source).kind is MEANINGS[meaning]


@pytest.mark.parametrize(("text", "first", "last", "count"), table("Templates"))
def test_templates(text: str, first: str, last: str, count: str) -> None:
    """D3."""
    made = address_template(parse_address(text))
    assert (made[0], made[len(made) - 1], len(made)) == (first, last, int(count))


@pytest.mark.parametrize(("kind", "example"), table("Lists of objects"))
def test_lists(kind: str, example: str) -> None:
    """D7."""
    first, *_ = read_object_list([example.encode()])
    assert first.target
    assert (first.name is None) == (kind == "JSON array")
    assert (first.size == 5) == (kind == "JSON lines")


@pytest.mark.parametrize(("source", "dest", "name"), table("Names"))
def test_names(source: str, dest: str, name: str) -> None:
    """D4."""
    spec = asked(source, dest)
    address = parse_address(spec.source)
    if spec.dest and not spec.dest.endswith("/"):
        assert spec.dest == name
        return
    labels = label_template(address_template(address), address, flatten=False)
    assert name_below(spec.dest, labels[0], address) == name


def test_checksums_of_lists_are_those_that_are_verified() -> None:
    assert set(_ALGORITHMS) == set(_HASHES)
    section = TEXT.split("## Lists of objects\n", 1)[1].split("\n## ", 1)[0]
    assert ", ".join(f"`{name}`" for name in _ALGORITHMS) in section


def test_retries() -> None:
    section = TEXT.split("## Retries\n", 1)[1].split("\n## ", 1)[0]
    policy = RetryPolicy()
    assert f"After {policy.attempts} without progress" in section
    assert f"after {policy.mismatches} that brought other bytes" in section
    assert f"up to {policy.base:.0f} s at first" in section
    assert f"{policy.longest:.0f} s at most" in section
    assert policy.delay(Attempts(1, 1), 0.0, 3600.0) is not None
    assert policy.delay(Attempts(1, 1), 0.0, 3601.0) is None
    passing, staying = section.split("may pass;")
    assert all(is_temporary(int(status)) for status in re.findall(r"\b[45]\d\d\b", passing))
    final = {int(status) for status in re.findall(r"\b50[1-9]|51\d\b", staying)}
    assert final == {status for status in range(501, 600) if not is_temporary(status)}
