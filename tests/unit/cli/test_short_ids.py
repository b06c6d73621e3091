"""Short hashes of people are those that a store resolves."""

from __future__ import annotations

from casync_cli.short_ids import short_among, short_in

from casync.names.name import Ref
from casync.store.memory import MemoryStore
from tests.support.damaging import put


def test_a_store_resolves_the_short_hashes_of_its_manifests() -> None:
    store = MemoryStore()
    for number in range(20):
        ident = put(store, bytes([number]))
        short = short_in(store)(ident)
        assert len(short) == 12
        assert store.resolve(Ref(prefix=short)) == ident


def test_what_a_store_does_not_list_is_not_shortened() -> None:
    assert short_in(MemoryStore())(bytes(32)) == bytes(32).hex()


def test_hashes_with_the_same_beginning_get_more_digits() -> None:
    ids = [bytes(32), bytes(31) + b"\x01", bytes(7) + b"\x01" + bytes(24), bytes([255]) * 32]
    show = short_among(ids)
    assert [len(show(ident)) for ident in ids] == [64, 64, 16, 12]
    assert len({show(ident) for ident in ids}) == len(ids)


def test_the_same_hash_twice_is_one() -> None:
    assert len(short_among([bytes(32)] * 2)(bytes(32))) == 12
