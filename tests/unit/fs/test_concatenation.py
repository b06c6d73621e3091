"""Concatenated files are found by offset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casync.fs.concatenation import Concatenation


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.data())
def test_a_range_is_parts_of_files(lengths: list[int], data: st.DataObject) -> None:
    files = Concatenation()
    whole: list[tuple[bytes, int]] = []  # for each byte, its file and its offset in it
    for number, length in enumerate(lengths):
        path = b"file %d" % number
        assert files.add(path, length) == len(whole)
        whole += [(path, offset) for offset in range(length)]
    assert (len(files), files.length) == (len(lengths), len(whole))
    start = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(0, len(whole) - start))
    found = [
        (stretch.path, stretch.offset + at)
        for stretch in files.parts(start, length)
        for at in range(stretch.length)
    ]
    assert found == whole[start : start + length]
