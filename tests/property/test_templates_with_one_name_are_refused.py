"""Law: a template is refused if and only if two of its objects have one name."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from casync.errors import UsageError
from casync.jobs.collisions import has_distinct_texts, refuse_collisions
from casync.jobs.template import Template, TemplateRange

RANGES = st.builds(
    lambda start, more, step, width, gap: TemplateRange(start, start + more, step, width, gap),
    st.integers(0, 12),
    st.integers(0, 30),
    st.integers(1, 11),
    st.integers(0, 2),
    st.sampled_from(["", "", "1", "0", "-", "/", "11", "a1"]),
)


@given(st.lists(RANGES, min_size=1, max_size=3))
@example([TemplateRange(1, 11, 1, 1, ""), TemplateRange(1, 11, 1, 1, "")])
@example([TemplateRange(1, 11, 1, 1, "1"), TemplateRange(1, 11, 1, 1, "")])
def test_collisions(ranges: list[TemplateRange]) -> None:
    template = Template("a", tuple(ranges))
    distinct = len(set(template)) == len(template)
    if has_distinct_texts(template):
        assert distinct
    try:
        refuse_collisions(template)
    except UsageError:
        assert not distinct
    else:
        assert distinct
