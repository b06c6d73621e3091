"""Collections during prepare, push, pull, rm and serve in other processes, with kills.

gc killed at every call that writes is in tests/crash/test_gc.py.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from casync.ids import Kind, ManifestId
from casync.objects.codec import Packed
from casync.store.lmdb.rows import index_key
from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program
from tests.support.serving import serving

_ROUNDS = 6


def versions(count: int) -> list[bytes]:
    """Contents that share most of their chunks."""
    rng = random.Random(5)
    data = bytearray(rng.randbytes(3_000_000))
    made = []
    for _ in range(count):
        at = rng.randrange(len(data) - 100_000)
        data[at : at + 50_000] = rng.randbytes(50_000)
        made.append(bytes(data))
    return made


def entries(program: Program) -> list[dict[str, str]]:
    return list(program.good("ls", "--json").document["entries"])


def test_gc_frees_what_was_removed(program: Program) -> None:
    one, two = versions(2)
    program.good("prepare", "--name", "one", stdin=one)
    kept = program.good("prepare", "--name", "two", stdin=two).lines[0]
    assert program.good("gc", "--json").document["objects"] == 0
    program.good("rm", "one")
    assert program.good("gc", "--dry-run").lines == []  # it is in the trash
    planned = program.good("gc", "--dry-run", "--window", "0").lines
    assert planned == program.good("gc", "--dry-run", "--window", "0s").lines
    document = program.good("gc", "--dry-run", "--window", "0", "--json").document
    assert [f"{dead['kind']}\t{dead['id']}" for dead in document["dead"]] == planned
    done = program.good("gc", "--window", "0", "--json").document
    assert done["objects"] == len(planned) > 0
    assert done["stored"] == document["stored"]
    assert program.run("undelete", "one").status == 9
    program.good("verify")
    assert program.good("cat", kept).out == two
    assert program.good("prepare", stdin=one)
    program.good("verify")


def test_gc_needs_a_store(program: Program) -> None:
    assert program.run("gc").status == 9
    assert program.run("gc", "--window", "soon").status == 2


def test_writers_lose_nothing_to_collections(program: Program, tmp_path: Path) -> None:
    """Four writers of shared content and a remover, with constant collections and kills."""
    rng = random.Random(6)
    made = versions(_ROUNDS)
    paths = []
    for number, data in enumerate(made):
        paths.append(tmp_path / f"v{number}")
        paths[-1].write_bytes(data)
    first = program.good("prepare", "--name", "base", paths[0]).lines[0]
    acknowledged = {first: made[0]}
    rounds = collections = 0
    with serving(program.store) as server:
        while rounds < _ROUNDS - 1 or collections <= _ROUNDS:
            rounds += 1
            chosen = [rounds % _ROUNDS, *(rng.randrange(_ROUNDS) for _ in range(3))]
            writers = [
                program.start("prepare", "--reread", "--name", f"w{index}", paths[number])
                for index, number in enumerate(chosen)
            ]
            victim = rng.choice(writers[1:])
            kill = threading.Timer(rng.random() * 0.4, victim.kill)
            kill.start()
            collect = True  # the first starts with them, however quick they are
            while collect:
                program.good("gc", "--window", "0", "-q")
                collections += 1
                collect = any(writer.poll() is None for writer in writers)
            kill.join()
            for writer, number in zip(writers, chosen, strict=True):
                out, err = writer.communicate()
                if writer is not victim:
                    assert writer.returncode == 0, err
                if out.endswith(b"\n"):
                    acknowledged[out.decode().strip()] = made[number]
            name = f"w{rng.randrange(4)}"
            for line in program.run("rm", name).lines:
                if line.startswith("manifest\t"):
                    acknowledged.pop(line.split("\t")[1], None)
            assert program.good("cat", "base", "--server", server.url).out == made[0]
    listed = {line.split("\t")[0] for line in program.good("ls").lines}
    assert set(acknowledged) <= listed
    for hash_, data in acknowledged.items():
        assert program.good("cat", hash_).out == data
    program.good("verify")
    program.good("rm", *dict.fromkeys(entry["name"] for entry in entries(program) if entry["name"]))
    program.run("rm", *(entry["manifest"] for entry in entries(program)))
    assert program.good("gc", "--window", "0", "--json").document["kept"] == 0
    left = program.good("store", "stats", "--json").document["objects"]
    assert [left[kind]["count"] for kind in ("chunk", "node", "manifest")] == [0, 0, 0]


def test_pull_into_a_cache_beside_collections(program: Program, tmp_path: Path) -> None:
    made = versions(4)
    hashes = [program.good("prepare", stdin=data).lines[0] for data in made]
    mirror = tmp_path / "mirror"
    with serving(program.store) as server:
        for number, (hash_, data) in enumerate(zip(hashes, made, strict=True)):
            out = tmp_path / "out"
            pull = program.start(
                *("pull", hash_, "-o", out, "--cache", "--store", mirror, "--server", server.url)
            )
            while pull.poll() is None:
                ran = program.run("gc", "--window", "0", "--store", mirror)
                assert ran.status == 0 or (number == 0 and ran.status == 9), ran
            assert pull.returncode == 0, pull.communicate()[1]
            pull.communicate()
            assert out.read_bytes() == data
            program.good("verify", "--store", mirror)
            assert program.good("cat", hash_, "--store", mirror).out == data
            if number % 2:
                program.good("rm", hash_, "--store", mirror)


def test_two_collections_beside_pushes_and_removals(program: Program, tmp_path: Path) -> None:
    """All at once on one store; all acknowledged content is complete."""
    made = versions(5)
    pushers = [Program(tmp_path) for _ in range(2)]
    for number, pusher in enumerate(pushers):
        pusher.environment["CASYNC_STORE"] = str(tmp_path / f"pusher{number}")
        for version in (number, number + 2, 4):
            pusher.good("prepare", "--name", f"v{version}", stdin=made[version])
    program.good("prepare", "--name", "gone", stdin=made[4] + b"gone")
    statuses = set()
    with serving(program.store, writable=True) as server:
        there = ("--server", server.url)
        for round_ in range(3):
            running = [
                pusher.start("push", f"v{version}", "--name", f"p{number}/{version}", *there)
                for number, pusher in enumerate(pushers)
                for version in (number, number + 2, 4)[round_ : round_ + 1]
            ]
            if round_ == 1:
                program.good("rm", "gone", *there)
            while any(process.poll() is None for process in running):
                collections = [program.start("gc", "--window", "0") for _ in range(2)]
                for collection in collections:
                    _, err = collection.communicate(timeout=60)
                    statuses.add(collection.returncode)
                    assert collection.returncode in (0, 7), err
            for process in running:
                _, err = process.communicate()
                assert process.returncode == 0, err
        for number in range(2):
            for version in (number, number + 2, 4):
                assert program.good("cat", f"p{number}/{version}", *there).out == made[version]
    assert 0 in statuses
    program.good("gc", "--window", "0")
    program.good("verify")


@pytest.mark.parametrize("fault", ["unreadable", "missing"])
def test_gc_deletes_nothing_if_a_manifest_cannot_be_read(program: Program, fault: str) -> None:
    one, two = versions(2)
    kept = program.good("prepare", "--name", "kept", stdin=one).lines[0]
    program.good("prepare", "--name", "gone", stdin=two)
    program.good("rm", "gone")
    before = program.good("store", "stats", "--json").document["objects"]
    mend = (unreadable if fault == "unreadable" else missing)(program.store, bytes.fromhex(kept))
    for arguments in (("--dry-run",), (), ("--window", "0")):
        ran = program.run("gc", *arguments)
        assert ran.status == 4, ran
        assert kept in ran.err or "cannot read everything below" in ran.err
        assert ran.err.count("\n") == 1
    if fault == "unreadable":  # the index counts them
        assert program.good("store", "stats", "--json").document["objects"] == before
    mend()
    assert program.good("store", "stats", "--json").document["objects"] == before
    assert program.good("gc", "--window", "0", "--json").document["objects"] > 0
    assert program.good("cat", "kept").out == one
    program.good("verify")


def unreadable(path: Path, ident: bytes) -> Callable[[], None]:
    """Damages the bytes of a manifest; returns a function that restores them."""
    with LmdbStore.open(path, read_only=True) as store:
        (packed,) = store.get(Kind.MANIFEST, [ManifestId(ident)])
    assert isinstance(packed, Packed)
    data = (path / "data.mdb").read_bytes()
    # Twice where an older page of the file still has it.
    (path / "data.mdb").write_bytes(data.replace(packed.payload, bytes(len(packed.payload))))

    def mend() -> None:
        (path / "data.mdb").write_bytes(data)

    return mend


def missing(path: Path, ident: bytes) -> Callable[[], None]:
    """Removes a manifest from the index; returns a function that restores it."""
    key = index_key(Kind.MANIFEST, ident)

    def change(value: bytes | None) -> bytes:
        with lmdb.open(str(path), map_size=2**30, max_dbs=32, lib_version=0) as environment:
            index = environment.open_db(b"index", create=False)
            with environment.begin(write=True, db=index) as txn:
                before = txn.get(key, b"")
                if value is None:
                    txn.delete(key)
                else:
                    txn.put(key, value)
                return bytes(before)

    row = change(None)

    def mend() -> None:
        change(row)

    return mend
