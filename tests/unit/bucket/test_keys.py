"""Keys of a store in a bucket."""

from __future__ import annotations

import pytest

from casync.bucket.keys import SessionPart, map_key, map_of, name_key, part_of, run_key, segment_key
from casync.ids import ManifestId
from casync.names.name import parse_name

PART = SessionPart(bytes(range(16)), 258)
MANIFEST = ManifestId(bytes(range(32)))


def test_a_key_of_a_part_leads_back_to_it() -> None:
    assert segment_key(PART) == "seg/00/000102030405060708090a0b0c0d0e0f-00000102"
    assert run_key(PART) == "run/000102030405060708090a0b0c0d0e0f-00000102"
    assert part_of(segment_key(PART)) == PART == part_of(run_key(PART))


def test_a_key_of_a_map_leads_back_to_its_manifest() -> None:
    assert map_key(MANIFEST) == "m/00/" + MANIFEST.hex()
    assert map_of(map_key(MANIFEST)) == MANIFEST


def test_names_that_begin_alike_have_keys_that_do_not() -> None:
    one, other = name_key(parse_name("vm")), name_key(parse_name("vm/1"))
    assert one == "n/ca/" + one[5:]
    assert len(one) == len(other) == 69
    assert not other.startswith(one)


@pytest.mark.parametrize(
    "key",
    [
        "seg/01/000102030405060708090a0b0c0d0e0f-00000102",
        "seg/00/000102030405060708090A0b0c0d0e0f-00000102",
        "seg/00/000102030405060708090a0b0c0d0e0f-0000010",
        "m/01/" + MANIFEST.hex(),
        "m/00/" + MANIFEST.hex() + "\n",
        "store",
        "",
    ],
)
def test_other_keys_are_not_taken_for_ours(key: str) -> None:
    assert part_of(key) is None
    assert map_of(key) is None
