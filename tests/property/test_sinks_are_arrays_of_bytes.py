"""Law: a sink holds the bytes written last, whatever was there before, holes included."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.fs.target.base import open_sink
from casync.fs.target.place import inspect_place

LENGTH = 40_000

OFFSETS = st.one_of(st.integers(0, LENGTH), st.sampled_from([4095, 4096, 4097, 8192, 32_768]))
SIZES = st.one_of(st.integers(0, 20_000), st.sampled_from([1, 4096, 8192]))
STEPS = st.lists(st.tuples(OFFSETS, SIZES, st.booleans(), st.booleans()), max_size=12)


@pytest.mark.parametrize("in_place", [False, True])
@given(steps=STEPS, old_length=st.integers(0, 2 * LENGTH))
def test_a_sink_is_an_array_of_bytes(
    in_place: bool, steps: list[tuple[int, int, bool, bool]], old_length: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "target")
        target.write_bytes(b"o" * old_length)
        model = bytearray(LENGTH)
        if in_place:
            model[: min(old_length, LENGTH)] = b"o" * min(old_length, LENGTH)
        sink = open_sink(inspect_place(target, in_place=in_place), LENGTH)
        # In a new file zeros need no write.
        for number, (offset, wanted, writes, reopens) in enumerate(steps):
            size = min(wanted, LENGTH - offset)
            plain = bytes([number + 1]) * size if writes else bytes(size)
            if writes:
                sink.write(offset, [plain[:7], plain[7:]])
            elif sink.resumed or not any(model[offset : offset + size]):
                sink.zero(offset, size)
            else:
                continue
            model[offset : offset + size] = plain
            assert sink.read(0, LENGTH) == model
            if reopens:
                sink.close()
                sink = open_sink(inspect_place(target, in_place=in_place), LENGTH)
                if not in_place and not sink.resumed:
                    model = bytearray(LENGTH)
        with sink:
            sink.commit()
        assert target.read_bytes() == model
