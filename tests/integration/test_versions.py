"""Data and answers of a newer program are refused with their version, and never changed.

Stores of earlier releases are opened in tests/unit/store/lmdb/test_earlier_stores.py.
"""

from __future__ import annotations

import lmdb
import msgspec
import pytest

from casync.ids import Kind, ManifestId
from casync.objects.codec import Packer
from casync.store.base import Batch, ManifestState
from casync.store.memory import MemoryStore
from tests.support.peer import Peer
from tests.support.program import Program


def test_a_store_of_a_later_format(program: Program) -> None:
    hash_ = program.good("prepare", "--name", "vm", stdin=b"1").lines[0]
    with lmdb.open(str(program.store), map_size=2**30, max_dbs=32, lib_version=0) as environment:
        meta = environment.open_db(b"meta", create=False)
        with environment.begin(write=True, db=meta) as txn:
            txn.put(b"format", (7).to_bytes(4, "little"))
    before = (program.store / "data.mdb").read_bytes()
    for command in (
        ("prepare", "--name", "vm"), ("ls",), ("cat", hash_), ("verify",), ("gc",), ("rm", "vm"),
        ("name", "set", "x", hash_), ("store", "stats"), ("store", "compact"), ("serve",),
        ("store", "backup", "copy"), ("store", "reindex"), ("token", "new"),
    ):  # fmt: skip
        ran = program.run(*command)
        assert ran.status == 10, (command, ran)
        assert "format 7" in ran.err
        assert ran.err.count("\n") == 1
    assert (program.store / "data.mdb").read_bytes() == before


def later(**changes: object) -> bytes:
    """A manifest that a later program might write."""
    fields: dict[str, object] = {
        "version": 1,
        "kind": "file",
        "features": [],
        "length": 0,
        "chunker": {"algorithm": "fastcdc-v1", "min": 4096, "avg": 16384, "max": 65536},
        "content": [0, bytes(32), 0],
    }
    return msgspec.msgpack.encode(fields | changes)


SIZES = {"min": 4096, "avg": 16384, "max": 65536}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": 2}, "version 2"),
        ({"version": 2, "more": [1]}, "version 2"),
        ({"features": ["sealed"]}, "sealed"),
        ({"chunker": {"algorithm": "fastcdc-v9", **SIZES}}, "fastcdc-v9"),
    ],
)
def test_a_server_with_manifests_of_a_later_kind(
    program: Program, changes: dict[str, object], named: str
) -> None:
    packed = Packer().pack_new(Kind.MANIFEST, later(**changes))
    store = MemoryStore()
    ident = ManifestId(packed.id)
    store.commit(Batch([packed], [(ident, ManifestState.FULL, 0)]))
    program.good("prepare", stdin=b"there is a store")
    before = program.good("ls").text
    with Peer(store) as peer:
        for target in (("-o", "out"), ()):
            ran = program.run("pull", ident.hex(), *target, "--server", peer.url, "--json")
            assert ran.status == 10, ran
            assert named in ran.problem["message"]
    assert not (program.home / "out").exists()
    assert program.good("ls").text == before
