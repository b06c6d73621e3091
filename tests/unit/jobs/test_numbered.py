"""Templates without an end: which objects of a listing they stand for."""

from __future__ import annotations

import pytest

from casync.jobs.numbered import numbered_objects
from casync.jobs.request import is_listed, specify
from casync.jobs.spec import JobSpec, SourceKind


def job(source: str) -> JobSpec:
    return specify(JobSpec(source, "ds/", SourceKind.OBJECT))


@pytest.mark.parametrize(
    ("source", "fitting", "others"),
    [
        (
            "s3://b/x-%06d.tar",
            ["000000.tar", "123456.tar", "1234567.tar"],
            ["00000.tar", "0123456.tar", "12345.tar", "000000.tar.gz", "000000", "a00000.tar"],
        ),
        ("s3://b/x-%d", ["0", "7", "10"], ["00", "07", "", "1 ", "\u0661", "-1"]),
        ("s3://b/x-%04d/y?z", ["0001/y?z"], ["0001/y", "0001/z/y?z"]),
        ("http://h/x-%04d%20a.tar?sig=1", ["0001 a.tar"], ["0001%20a.tar", "0001 a.tar?sig=1"]),
    ],
)
def test_only_the_form_of_the_template_fits(
    source: str, fitting: list[str], others: list[str]
) -> None:
    """D3: padded to the width, digits alone, and the same end."""
    numbered = numbered_objects(job(source))
    assert numbered is not None
    assert all(map(numbered.fits, fitting))
    assert not any(map(numbered.fits, others))


@pytest.mark.parametrize("source", ["s3://b/{1..2}", "s3://b/x@10", "s3://b/x*", r"s3://b/\%06d"])
def test_other_sources_have_no_number_without_an_end(source: str) -> None:
    assert numbered_objects(job(source)) is None
    assert is_listed(job(source)) == source.endswith("*")
