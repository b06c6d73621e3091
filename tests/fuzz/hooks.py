"""Hooks that tell Schemathesis of bodies that are not JSON, and of the content of the store.

Schemathesis loads them through SCHEMATHESIS_HOOKS. `requests.py` starts it, and passes the refs and
ids of the store in CASYNC_FUZZ_REFS and CASYNC_FUZZ_IDS.
"""

from __future__ import annotations

import os
import random
from typing import Any, Final

import schemathesis
from hypothesis import strategies as st

from casync.ids import ChunkId, Kind
from casync.objects.codec import Packer
from casync.objects.delta import Group
from casync.wire.requests import IDS_TYPE, encode_groups, encode_ids
from casync.wire.uploads import OBJECTS_TYPE, encode_upload

_REFS: Final = os.environ["CASYNC_FUZZ_REFS"].split()
_IDS: Final = [ChunkId(bytes.fromhex(text)) for text in os.environ["CASYNC_FUZZ_IDS"].split()]
_PACKER: Final = Packer()

ids = st.sampled_from(_IDS) | st.binary(min_size=32, max_size=32).map(ChunkId)
id_lists = st.builds(encode_ids, st.sampled_from(Kind), st.lists(ids, min_size=1, max_size=20))
group_lists = st.builds(
    encode_groups,
    st.sampled_from(Kind),
    st.lists(
        st.builds(Group, st.lists(ids, min_size=1, max_size=4), st.lists(ids, max_size=4)),
        min_size=1,
        max_size=6,
    ),
)
uploads = st.lists(
    st.builds(_PACKER.pack_new, st.sampled_from(Kind), st.binary(min_size=1, max_size=3000)),
    max_size=6,
).map(lambda objects: b"".join(encode_upload(objects)))


@st.composite
def spoiled(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Whole bodies, with some that are changed, cut short or random."""
    data = draw(whole)
    at = draw(st.integers(0, len(data)))
    return draw(
        st.sampled_from([data, data, data[:at], data + b"\0", data[:at] + b"\xff" + data[at + 1 :]])
        | st.binary(max_size=200)
    )


schemathesis.openapi.media_type(IDS_TYPE, spoiled(id_lists | group_lists))
schemathesis.openapi.media_type(OBJECTS_TYPE, spoiled(uploads))


def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> Any:
    """Replaces half of the parameters by values that exist."""
    found = {
        "ref": _REFS,
        "name": _REFS[:2],
        "ident": [i.hex() for i in _IDS],
        "path": ["x", "d/y"],
    }
    rng = random.Random(repr(path_parameters))
    for key, values in found.items():
        if path_parameters and key in path_parameters and rng.random() < 0.5:
            path_parameters[key] = rng.choice(values)
    return path_parameters


schemathesis.hook(map_path_parameters)
