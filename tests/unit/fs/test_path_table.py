"""Paths come back as they were added, and take the room of their names."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from casync.fs.path_table import PathTable

names = st.sampled_from([b"a", b"b", b"ab", b"\xff", b"long name"])
paths = st.lists(names, min_size=1, max_size=5).map(b"/".join)


@given(st.lists(paths, max_size=30))
def test_paths_come_back_by_their_numbers(added: list[bytes]) -> None:
    table = PathTable()
    numbers = [table.add(path) for path in added]
    assert [table[number] for number in numbers] == added


def test_the_files_of_a_deep_folder_take_the_room_of_their_names() -> None:
    folder = b"/".join([b"d" * 255] * 250)
    table = PathTable()
    tracemalloc.start()
    try:
        for number in range(10_000):
            last = table.add(b"%s/%d/file" % (folder, number))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table[last] == folder + b"/9999/file"
    assert held < 2 << 20
