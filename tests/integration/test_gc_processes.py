"""Collections beside prepare, pull and serve in other processes, some of which are killed."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.program import Program
from tests.serving import serving

_ROUNDS = 6


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


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


def test_gc_without_a_store(program: Program) -> None:
    assert program.run("gc").status == 9
    assert program.run("gc", "--window", "soon").status == 2


def test_writers_lose_nothing_to_collections(program: Program, tmp_path: Path) -> None:
    """Four writers of shared content and a remover, collections all the time, and kills."""
    rng = random.Random(6)
    made = versions(_ROUNDS)
    paths = []
    for number, data in enumerate(made):
        paths.append(tmp_path / f"v{number}")
        paths[-1].write_bytes(data)
    first = program.good("prepare", "--name", "base", paths[0]).lines[0]
    acknowledged = {first: made[0]}
    collections = 0
    with serving(program.store) as server:
        for round_ in range(1, _ROUNDS):
            chosen = [round_, *(rng.randrange(_ROUNDS) for _ in range(3))]
            writers = [
                program.start("prepare", "--reread", "--name", f"w{index}", paths[number])
                for index, number in enumerate(chosen)
            ]
            victim = rng.choice(writers[1:])
            time.sleep(rng.random() * 0.4)
            victim.send_signal(signal.SIGKILL)
            while any(writer.poll() is None for writer in writers):
                assert program.good("gc", "--window", "0", "-q").status == 0
                collections += 1
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
    assert collections > _ROUNDS
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
