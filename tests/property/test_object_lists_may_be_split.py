"""Law: a list of objects means the same however it is split, and garbage is an error of ours."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from casync.errors import UsageError
from casync.jobs.object_list import ListedItem, read_object_list

TEXTS = st.text(
    st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('"\\[]{},: '), min_size=1
)
STRIPPED = TEXTS.map(str.strip).filter(bool)


@st.composite
def lists(draw: st.DrawFn) -> tuple[bytes, list[ListedItem]]:
    """A list of one of the kinds, and what it means."""
    kind = draw(st.sampled_from(["array", "map", "lines", "csv"]))
    if kind == "array":
        targets = draw(st.lists(TEXTS, max_size=4))
        indent = draw(st.sampled_from([None, 2]))
        text = json.dumps(targets, ensure_ascii=draw(st.booleans()), indent=indent)
        return text.encode(), [ListedItem(target) for target in targets]
    if kind == "map":
        pairs = draw(st.dictionaries(TEXTS.filter(lambda name: name != "url"), TEXTS, max_size=4))
        text = json.dumps(pairs, ensure_ascii=draw(st.booleans()))
        return text.encode(), [ListedItem(target, name) for name, target in pairs.items()]
    rows = draw(st.lists(st.tuples(STRIPPED, STRIPPED), min_size=1, max_size=4))
    items = [ListedItem(target, name) for target, name in rows]
    if kind == "lines":
        made = [json.dumps({"url": target, "name": name}) for target, name in rows]
        return "\n".join(made).encode(), items
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return file.getvalue().encode(), items


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    yield from (data[start:end] for start, end in pairwise(bounds))


@given(lists(), st.lists(st.integers(0, 1000), max_size=6))
def test_splits(both: tuple[bytes, list[ListedItem]], cuts: list[int]) -> None:
    data, items = both
    assert list(read_object_list(pieces(data, cuts))) == items
    assert list(read_object_list(bytes([byte]) for byte in data)) == items


def outcome(blocks: Iterator[bytes]) -> list[ListedItem] | str:
    try:
        return list(read_object_list(blocks))
    except UsageError as error:
        return error.message


@given(
    st.binary(max_size=60)
    | st.text('[]{}",:\\\n urlnamesize0', max_size=40).map(str.encode)
    | st.builds(lambda both, size: both[0][:size], lists(), st.integers(0, 60)),
    st.lists(st.integers(0, 1000), max_size=6),
)
def test_garbage(data: bytes, cuts: list[int]) -> None:
    whole = outcome(iter([data]))
    assert outcome(pieces(data, cuts)) == whole
    assert outcome(bytes([byte]) for byte in data) == whole
