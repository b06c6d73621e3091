"""Run by test_store_damage.py: opens damaged copies of a store, each in a process of its own.

usage: store_damage.py GOOD SCRATCH MODE...

GOOD holds a store whose objects are all in `truth` (kind and id in hex to plain bytes, msgpack).
For every page of its data file and every MODE, a child damages a copy, opens it and reads all. One
line per case is printed: page, mode, verdict. A verdict is `right` (every byte as it was, or named
missing or damaged), the code of an error, `WRONG`, `FOREIGN` (an exception that is not ours) or
`KILLED`.

The children are forked, which is much faster than starting Python; no store is open before that.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from casync.errors import CasyncError, IntegrityError
from casync.ids import ChunkId, Kind, ManifestId, NodeId, ObjectId
from casync.names.name import Name
from casync.objects.codec import Unpacker
from casync.store.base import Absence, Batch
from casync.store.lmdb.store import LmdbStore

PAGE = 4096
ID_TYPES: dict[Kind, Callable[[bytes], ObjectId]] = {
    Kind.CHUNK: ChunkId,
    Kind.NODE: NodeId,
    Kind.MANIFEST: ManifestId,
}


def damage(data: bytearray, page: int, mode: str) -> bytearray:
    start = page * PAGE
    if mode == "zero":
        data[start : start + PAGE] = bytes(PAGE)
    elif mode == "ones":
        data[start : start + PAGE] = b"\xff" * PAGE
    elif mode == "cut":
        del data[start:]
    elif mode == "swap":  # a page that was written to the wrong place
        other = (page * 7 + 3) % (len(data) // PAGE) * PAGE
        data[start : start + PAGE] = data[other : other + PAGE]
    else:
        offset = int(mode)
        data[start + offset] ^= 1 << page % 8
    return data


def read_all(path: Path, truth: dict[str, bytes]) -> str:
    unpacker = Unpacker()
    with LmdbStore.open(path) as store:
        store.check()
        for kind in Kind:
            as_id = ID_TYPES[kind]
            wanted = [as_id(bytes.fromhex(key[1:])) for key in truth if int(key[0]) == kind]
            for ident, answer in zip(wanted, store.get(kind, wanted), strict=True):
                if isinstance(answer, Absence):
                    continue
                if unpacker.decode(answer) != truth[f"{kind:d}{ident.hex()}"]:
                    return "WRONG"
            store.stat(kind, wanted)
            store.known(kind, wanted)
            list(store.objects(kind))
        list(store.manifests())
        for record in store.names():
            store.history(Name(record.name))
        list(store.remembered())
        store.usage()
        store.commit(Batch())
    return "right"


def child(path: Path, truth: dict[str, bytes], report: int) -> None:
    try:
        verdict = read_all(path, truth)
    except CasyncError as error:
        verdict = error.code if isinstance(error, IntegrityError) else f"{error.code}"
    except BaseException:
        traceback.print_exc()
        verdict = "FOREIGN"
    os.write(report, verdict.encode())


def main(good: Path, scratch: Path, modes: list[str]) -> None:
    truth = msgspec.msgpack.decode((good / "truth").read_bytes(), type=dict[str, bytes])
    data = (good / "data.mdb").read_bytes()
    for mode in modes:
        for page in range(len(data) // PAGE):
            (scratch / "data.mdb").write_bytes(damage(bytearray(data), page, mode))
            ours, theirs = os.pipe()
            pid = os.fork()
            if not pid:
                child(scratch, truth, theirs)
                os._exit(0)
            os.close(theirs)
            with os.fdopen(ours) as pipe:
                verdict = pipe.read()
            _, status = os.waitpid(pid, 0)
            print(page, mode, verdict if status == 0 else f"KILLED {status}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
