"""Run by test_store_damage.py: commits to stores whose large index has damaged leaves.

usage: store_inserts.py SCRATCH MUTANTS SEED

Only the branches of a large index are checked when a store is opened. Each mutant has a few leaves
damaged in one way and gets new objects and present ones, in a process of its own. One line per
mutant is printed: the damage and a verdict, as in store_damage.py.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import traceback
from pathlib import Path

from casync.errors import CasyncError
from casync.ids import Kind, chunk_id
from casync.objects.codec import Packer, Unpacker, Verified
from casync.store.base import Absence, Batch
from casync.store.lmdb.store import LmdbStore
from tests.crash.lmdb_pages import PAGE_BYTES, map_pages

OBJECTS = 16_000
TOUCHED = 1500
DAMAGED_LEAVES = 10
FLAGS_AT, LOWER_AT, POINTERS_AT = 10, 12, 16


def chunks(first: int, number: int) -> list[Verified]:
    packer = Packer()
    plains = [each.to_bytes(16, "big") for each in range(first, first + number)]
    return [packer.pack(Kind.CHUNK, chunk_id(plain), plain) for plain in plains]


def damage(data: bytearray, leaf: int, how: str, rng: random.Random) -> None:
    start = leaf * PAGE_BYTES
    pointer = start + POINTERS_AT + 2 * rng.randrange(20)
    if how == "zero":
        data[start : start + PAGE_BYTES] = bytes(PAGE_BYTES)
    elif how == "flags":
        kind = rng.choice([0, 1, 3, 4, 8, 0x10, 0x22])
        struct.pack_into("<H", data, start + FLAGS_AT, kind)
    else:
        at = {
            "header": start + rng.randrange(POINTERS_AT),
            "lower": start + LOWER_AT + rng.randrange(2),
            "pointer": pointer + rng.randrange(2),
            "node": start + struct.unpack_from("<H", data, pointer)[0] + rng.randrange(8),
            "any": start + rng.randrange(PAGE_BYTES),
        }[how]
        data[at] ^= 1 << rng.randrange(8)


def insert(path: Path, items: list[Verified]) -> str:
    unpacker = Unpacker()
    with LmdbStore.open(path) as store:
        store.commit(Batch(objects=items))
        ids = [item.id for item in items]
        for item, answer in zip(items, store.get(Kind.CHUNK, ids), strict=True):
            if not isinstance(answer, Absence) and answer.payload != item.payload:
                return "WRONG"
            if not isinstance(answer, Absence):
                unpacker.unpack(answer)
    return "right"


def child(path: Path, items: list[Verified], report: int) -> None:
    try:
        verdict = insert(path, items)
    except CasyncError as error:
        verdict = error.code
    except BaseException:
        traceback.print_exc()
        verdict = "FOREIGN"
    os.write(report, verdict.encode())


def main(scratch: Path, mutants: int, seed: int) -> None:
    rng = random.Random(seed)
    with LmdbStore.open(scratch, create=True) as store:
        store.commit(Batch(objects=chunks(0, OBJECTS)))
    data = (scratch / "data.mdb").read_bytes()
    pages = map_pages(data)
    leaves = [p.number for p in pages if p.role == "leaf" and p.database == "index"]
    assert len(leaves) > 256
    items = [chunks(OBJECTS, TOUCHED), chunks(0, TOUCHED)]
    ways = ["zero", "flags", "header", "lower", "pointer", "node", "any"]
    for number in range(mutants):
        how = ways[number % len(ways)]
        mutant = bytearray(data)
        for leaf in rng.sample(leaves, DAMAGED_LEAVES):
            damage(mutant, leaf, how, rng)
        (scratch / "data.mdb").write_bytes(mutant)
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            child(scratch, items[rng.randrange(2)], theirs)
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as pipe:
            verdict = pipe.read()
        _, status = os.waitpid(pid, 0)
        print(how, verdict if status == 0 else f"KILLED {status}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
