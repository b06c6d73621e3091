"""Run by test_store_processes.py: one of several processes that share a store.

usage: store_worker.py create PATH            open or make it, print its id
       store_worker.py write PATH SEED MAP    commit 40 batches and read them back, print "done"
       store_worker.py read PATH              begin a read transaction, print "ready", hang
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from casync.ids import Kind
from casync.objects.codec import Packed
from casync.store.base import Batch
from casync.store.lmdb.opening import open_lmdb
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import ids_of, noise, pack


def create(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=[pack(b"somebody was here")]))
        print(store.store_id)


def write(path: Path, seed: int, map_bytes: int) -> None:
    with LmdbStore.open(path, create=True, map_bytes=map_bytes) as store:
        for turn in range(40):
            packed = [pack(noise(30_000, seed * 10**6 + turn * 100 + n)) for n in range(8)]
            assert store.commit(Batch(objects=packed)).objects == 8
            assert list(store.get(Kind.CHUNK, ids_of(packed))) == [Packed(*p) for p in packed]
    print("done")


def read(path: Path) -> None:
    environment = open_lmdb(path, read_only=True, map_bytes=2**40)
    transaction = environment.begin()
    print("ready", transaction.id(), flush=True)
    signal.pause()


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    if command == "create":
        create(Path(folder))
    elif command == "write":
        write(Path(folder), int(rest[0]), int(rest[1]))
    else:
        read(Path(folder))
