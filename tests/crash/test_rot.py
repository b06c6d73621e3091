"""Damages every page of a store's data file. No wrong byte comes out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from casync.api import pull
from casync.errors import IntegrityError, NotFoundError, RemoteError
from casync.remote.server.transport_options import TransportOptions
from tests.crash.commands import Server, environment, run
from tests.crash.lmdb_pages import PAGE_BYTES, map_pages
from tests.crash.material import image, updated
from tests.crash.origin import prepared

_SEED: Final = 20260106
_Damage = list[str | int]


class Rotting(NamedTuple):
    """A store to be damaged."""

    path: Path
    data: bytes
    known: dict[str, bytes]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Rotting:
    folder = tmp_path_factory.mktemp("good")
    old = image(70, 600_000)
    known = prepared(folder / "store", old, updated(old, 71), folder=folder)
    run("prepare", "--store", folder / "store", "--name", "disk", folder / "input")
    return Rotting(folder / "store", (folder / "store" / "data.mdb").read_bytes(), known)


def _damages(mode: str, data: bytes) -> Iterator[_Damage]:
    """A damage of every page, of one sort; of every eighth where the file is cut."""
    rng = random.Random(f"{_SEED} {mode}")
    for start in range(0, len(data), PAGE_BYTES):
        if mode == "cut":
            if start % (8 * PAGE_BYTES) == 0:
                yield ["cut", start + rng.choice([0, rng.randrange(1, PAGE_BYTES)])]
        elif mode == "bit":
            # Headers and the ends of pages matter more than other bytes.
            ends = [rng.randrange(48), PAGE_BYTES - 1 - rng.randrange(200)]
            at = start + rng.choice([*ends, rng.randrange(PAGE_BYTES)])
            yield ["set", at, bytes([data[at] ^ 1 << rng.randrange(8)]).hex()]
        else:
            yield ["set", start, bytes(PAGE_BYTES).hex()]


@pytest.mark.parametrize("mode", ["bit", "zero", "cut"])
def test_verify_cat_and_pull_of_a_damaged_store_give_no_wrong_bytes(
    good: Rotting, tmp_path: Path, mode: str, summary: Callable[[str], None]
) -> None:
    hash_, content = list(good.known.items())[1]
    out = tmp_path / "out"
    commands = [
        ["verify"],
        ["cat", "disk"],
        ["pull", hash_, "-o", str(out)],
    ]
    exits: dict[str, Counter[int]] = {command[0]: Counter() for command in commands}
    wrong: list[str] = []
    cases = 0
    script = Path(__file__).with_name("rot_commands.py")
    with subprocess.Popen(
        [sys.executable, script, good.path, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for what in _damages(mode, good.data):
            cases += 1
            out.unlink(missing_ok=True)
            child.stdin.write(json.dumps([what, commands]).encode() + b"\n")
            child.stdin.flush()
            results = json.loads(child.stdout.readline())
            for command, (status, _, _) in zip(commands, results, strict=True):
                exits[command[0]][status] += 1
            pulled = out.read_bytes() if out.exists() else None
            label = f"{what[0]} {what[1]}"
            wrong += [f"{label}: {line}" for line in _wrong(results, pulled, content)]
        child.stdin.close()
    table = {verb: dict(sorted(counts.items())) for verb, counts in exits.items()}
    summary(f"rot, {mode}: {cases} damages, seed {_SEED}, exits {table}, {len(wrong)} violations")
    assert not wrong, "\n".join(wrong[:20])


def _wrong(results: list[tuple[int, str, str]], pulled: bytes | None, content: bytes) -> list[str]:
    """Forbidden results: wrong bytes, a dead process, an unnamed error."""
    wrong: list[str] = []
    for status, out, said in results:
        named = "casync: " in said or out  # what verify finds is its output
        if status not in {0, 4, 9, 10}:
            wrong.append(f"exit status {status}: {said[-500:]}")
        elif status and (not named or "Traceback" in said):
            wrong.append(f"exit status {status} and nothing is named: {said[-500:]}")
    (verified, _, _), (status, out, said), (pull_status, _, _) = results
    data = bytes.fromhex(out)
    if not content.startswith(data) or (status == 0 and data != content):
        wrong.append(f"cat gave wrong bytes, exit status {status}: {said}")
    if status and not verified:
        wrong.append(f"cat fails with {status}, but verify found nothing: {said}")
    if pulled is not None and pulled != content:
        wrong.append("pull gave wrong bytes")
    # A failed pull may have written the target, but must not remember it.
    if pulled is None and pull_status == 0:
        wrong.append("pull ended well without a target")
    return wrong


@pytest.mark.parametrize("mode", ["bit", "zero"])
def test_pulling_from_a_store_that_is_damaged_while_it_is_served(
    good: Rotting, tmp_path: Path, mode: str, summary: Callable[[str], None]
) -> None:
    hash_, content = list(good.known.items())[1]
    file = tmp_path / "store" / "data.mdb"
    file.parent.mkdir()
    file.write_bytes(good.data)
    outcomes: Counter[str] = Counter()
    servers = deaths = 0
    damages = list(_damages(mode, good.data))
    while damages:
        with Server(file.parent) as server, file.open("r+b", buffering=0) as disk:
            servers += 1
            while damages and server.running:
                _, start, new = damages.pop()
                disk.seek(int(start))
                disk.write(bytes.fromhex(str(new)))
                outcomes[_pull_outcome(server, hash_, content, tmp_path / "out")] += 1
                disk.seek(0)
                disk.write(good.data)
            deaths += sum("was killed" in line for line in server.lines)
    summary(
        f"rot while serving, {mode}: {outcomes.total()} damages, {dict(outcomes)}, "
        f"{deaths} workers died, {servers} servers, seed {_SEED}"
    )
    assert outcomes["right"] > 0
    assert outcomes["IntegrityError"] + outcomes["RemoteError"] > 0
    assert deaths == 0


def _pull_outcome(server: Server, hash_: str, content: bytes, out: Path) -> str:
    """`right`, or the sort of error; anything else fails the test."""
    out.unlink(missing_ok=True)
    try:
        pull(hash_, out, servers=[server.url], transport=TransportOptions(retry_for=3))
    except (IntegrityError, NotFoundError, RemoteError) as error:
        assert not out.exists()
        for part in out.parent.glob(".out*"):
            part.unlink()
        return next(
            kind.__name__
            for kind in (IntegrityError, NotFoundError, RemoteError)
            if isinstance(error, kind)
        )
    assert out.read_bytes() == content
    return "right"


def test_workers_die_on_a_truncated_file_and_are_restarted(
    good: Rotting, tmp_path: Path, summary: Callable[[str], None]
) -> None:
    """A bad sector of a mapped file causes SIGBUS.

    A pull meanwhile is right or says that the store is damaged; once the file is whole again, the
    same server gives what is right.
    """
    # What plain reads check comes before the cut, the index that is read through the map behind it.
    first = max(root for root in _roots(good) if root < _roots(good, "index")[0]) + 1
    outcomes: Counter[str] = Counter()
    said: list[str] = []
    rounds = 4
    for number in range(rounds):
        with _truncated(good, tmp_path / str(number), first + number) as (server, pulled):
            outcomes[pulled] += 1
            said += server.lines
    killed = sum("was killed by SIGBUS" in line for line in said)
    assert killed == rounds, said
    summary(
        f"store cut short while serving: {rounds} rounds, {killed} workers died of SIGBUS and "
        f"were replaced, pulls {dict(outcomes)}, then all right"
    )


def test_a_truncated_file_that_is_read_plainly_kills_no_worker(
    good: Rotting, tmp_path: Path
) -> None:
    """A pull gets damaged-store, and what is right once the file is whole again."""
    (main,) = _roots(good, "main")
    for pages in range(2, main + 1):
        with _truncated(good, tmp_path / str(pages), pages) as (server, pulled):
            assert pulled == "damaged-store", server.lines
            assert not any("was killed" in line for line in server.lines)


def _roots(good: Rotting, *databases: str) -> list[int]:
    pages = map_pages(good.data)
    return [
        page.number
        for page in pages
        if page.role == "root" and (not databases or page.database in databases)
    ]


@contextmanager
def _truncated(good: Rotting, folder: Path, pages: int) -> Iterator[tuple[Server, str]]:
    """A server whose file had only so many pages during a pull; the next one must be right.

    Yields:
        The server, and `right` or the code of the damage that the first pull was told.
    """
    hash_, content = list(good.known.items())[1]
    file = folder / "store" / "data.mdb"
    file.parent.mkdir(parents=True)
    file.write_bytes(good.data)
    with (
        Server(file.parent) as server,
        file.open("r+b", buffering=0) as disk,
        ThreadPoolExecutor(1) as executor,
    ):
        disk.truncate(pages * PAGE_BYTES)
        pulled = executor.submit(_pull_patiently, server, hash_, content, folder / "out")
        while not (pulled.done() or any("was killed" in line for line in server.lines)):
            time.sleep(0.01)
        disk.seek(0)
        disk.write(good.data)
        outcome = pulled.result()
        assert _pull_patiently(server, hash_, content, folder / "again") == "right"
        assert server.running
        yield server, outcome


def _pull_patiently(server: Server, hash_: str, content: bytes, out: Path) -> str:
    """`right`, or `damaged-store` if the server says so; anything else fails the test."""
    try:
        pull(hash_, out, servers=[server.url], transport=TransportOptions(retry_for=60))
    except RemoteError as error:
        said = error.message
    else:
        assert out.read_bytes() == content
        return "right"
    assert "(damaged-store)" in said
    assert not out.exists()
    return "damaged-store"
