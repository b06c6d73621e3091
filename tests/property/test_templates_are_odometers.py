"""Law: a template makes the texts of nested loops over its ranges, in that order."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from casync.jobs.template import Template, TemplateRange, parse_template

GAPS = st.text("ab-.{}@%0", max_size=4)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Template]:
    """The text of a template, and what it stands for."""
    prefix = draw(GAPS)
    text, ranges = _escape(prefix), []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, 120))
        end = start + draw(st.integers(0, 12))
        step = draw(st.integers(1, 5))
        first = "0" * draw(st.integers(0, 2)) + str(start)
        last = "0" * draw(st.integers(0, 2)) + str(end)
        arm = f"..{step}" if step > 1 or draw(st.booleans()) else ""
        gap = draw(GAPS)
        text += f"{{{first}..{last}{arm}}}{_escape(gap)}"
        ranges.append(TemplateRange(start, end, step, min(len(first), len(last)), gap))
    return text, Template(prefix, tuple(ranges))


def _escape(text: str) -> str:
    return "".join("\\" + char if char in "{}@%" else char for char in text)


@given(written())
def test_texts(both: tuple[str, Template]) -> None:
    text, meant = both
    made = parse_template(text)
    assert made == meant
    loops = [range(part.start, part.end + 1, part.step) for part in meant.ranges]
    expected = [
        meant.prefix
        + "".join(
            f"{number:0{part.width}d}{part.gap}"
            for number, part in zip(numbers, meant.ranges, strict=True)
        )
        for numbers in product(*loops)
    ]
    assert len(made) == len(expected)
    assert list(made) == expected
    assert [made[index] for index in reversed(range(len(made)))] == expected[::-1]
    for part, loop in zip(meant.ranges, loops, strict=True):
        widths = {len(str(number).zfill(part.width)) for number in loop}
        assert part.has_one_width == (len(widths) == 1)
