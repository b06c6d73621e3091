"""Law: packing many objects in one call gives what packing each alone gives."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from casync.ids import Kind, chunk_id
from casync.objects.codec import Packer, Unpacker

PLAINS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=300),
        st.tuples(st.integers(1, 200_000), st.integers(0, 2**32)).map(
            lambda made: random.Random(made[1]).randbytes(made[0])
        ),
        st.integers(1, 1_000_000).map(bytes),
        st.integers(1, 50_000).map(lambda count: b"a line of text\n" * count),
    ),
    max_size=12,
)


@given(plains=PLAINS, level=st.sampled_from([1, 3, 19]))
def test_packing_together_is_packing_alone(plains: list[bytes], level: int) -> None:
    items = [(chunk_id(plain), memoryview(plain)) for plain in plains]
    together = Packer(level).pack_batch(Kind.CHUNK, items)
    packer = Packer(level)
    assert together == [packer.pack(Kind.CHUNK, *item) for item in items]
    assert [Unpacker().unpack(packed) for packed in together] == plains
    assert all(type(packed.payload) is bytes for packed in together)
