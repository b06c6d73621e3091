"""Run by run.py: commands on damaged copies of a store, each in a forked child.

usage: child.py GOOD SCRATCH < CASES

GOOD holds a store and `truth`: ids of the objects that live, by kind, in JSON. Each line of stdin
is a JSON list: an offset, bytes in hex that the copy gets there, and command lines. For each case,
one line of JSON is printed: a list of [exit status, stdout, stderr], where a negative status is a
signal. The command `readable` prints those ids of `truth` whose objects the store still gives.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from casync.errors import CasyncError, MalformedError
from casync.ids import ChunkId, Kind, ManifestId, NodeId, ObjectId
from casync.objects.codec import Unpacker
from casync.store.base import Absence
from casync.store.lmdb.store import LmdbStore
from tests.crash.rot_commands import damage, in_child, outcome

_IDS: dict[Kind, Callable[[bytes], ObjectId]] = {
    Kind.CHUNK: ChunkId,
    Kind.NODE: NodeId,
    Kind.MANIFEST: ManifestId,
}


def readable(store: Path, truth: dict[str, list[str]]) -> list[str]:
    """The ids of objects that are there and undamaged."""
    found: list[str] = []
    unpacker = Unpacker()
    try:
        with LmdbStore.open(store, read_only=True) as opened:
            for name, texts in truth.items():
                kind = Kind[name]
                ids = [_IDS[kind](bytes.fromhex(text)) for text in texts]
                for text, answer in zip(texts, opened.get(kind, ids), strict=True):
                    if not isinstance(answer, Absence):
                        try:
                            unpacker.unpack(answer)
                        except MalformedError:
                            continue
                        found.append(text)
    except CasyncError:
        return found
    return found


def main(good: Path, scratch: Path) -> None:
    """Reads cases until there are no more."""
    data = (good / "data.mdb").read_bytes()
    truth = json.loads((good / "truth").read_bytes())
    store = scratch / "store"
    for line in sys.stdin:
        at, new, commands = json.loads(line)
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir(mode=0o700)
        damage(store / "data.mdb", data, ["set", at, new])
        (store / "data.mdb").chmod(0o600)
        results = []
        for command in commands:
            if command == ["readable"]:
                status, out, err = in_child(
                    lambda: print(*readable(store, truth), flush=True), scratch
                )
            else:
                status, out, err = outcome([*command, "--store", str(store)], scratch)
            results.append([status, bytes.fromhex(out).decode(errors="replace"), err])
        print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
