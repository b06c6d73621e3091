"""A store under stress: writers, pushers, pullers, removals, collections, servers, and kill -9.

`python -m tests.stress.run` works for ten minutes and prints its seed and the counts of actions. A
seed repeats inputs and random choices, not the order of processes. A damaged namespace lies beside
the store, and a healthy one: requests for the one say that it is damaged, those for the other are
right. At the end, everything that was acknowledged and not removed is pulled and compared. If a
promise was broken, the exit status is 1 and the folder is kept. `make stress` runs it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Final

from benchmarks.servers import free_port, listens
from tests.crash.commands import Server
from tests.stress.actors import Scene, collect, pull, push, remove_or_restore, write
from tests.stress.contents import Contents
from tests.stress.ledger import Ledger, State, Version
from tests.stress.namespaces import (
    Neighbours,
    ask_all_neighbours,
    ask_neighbours,
    make_neighbours,
)
from tests.stress.processes import Ended, Processes, start

__all__ = ["SEED", "stress"]

SEED: Final = 20261121
"""The default seed."""

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0
_MOST_UNKNOWN: Final = 40
_NOT_FOUND: Final = 9
_CUT_OFF: Final = 11

Turn = Callable[[Scene, str, random.Random], None]
_ACTORS: Final[dict[str, Turn]] = {
    **{f"writer{number}": write for number in range(4)},
    **{f"pusher{number}": push for number in range(2)},
    **{f"puller{number}": pull for number in range(2)},
    "remover": remove_or_restore,
    "collector": collect,
}


def main() -> int:
    """Runs a stress test; returns an exit status."""
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="where there is room")
    parser.add_argument("--verify", action="store_true", help="verify after each collection")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="casync-stress-", dir=options.work))
    print(f"seed {options.seed}, {options.minutes:g} minutes, in {folder}", flush=True)
    ledger = stress(folder, options.seed, options.minutes * 60, verify=options.verify)
    print(*ledger.report(), sep="\n")
    if ledger.violations:
        print(*ledger.violations, sep="\n")
        print(f"{len(ledger.violations)} promises were broken; everything is in {folder}")
        return 1
    shutil.rmtree(folder)
    print("every acknowledged version was pulled and is equal; verify found nothing")
    return 0


def stress(folder: Path, seed: int, seconds: float, *, verify: bool) -> Ledger:
    """Works in `folder` for `seconds`, checks the result, and returns the ledger."""
    ledger, processes = Ledger(), Processes()
    url = f"http://127.0.0.1:{free_port()}"
    scene = Scene(folder, url, Contents(seed), ledger, processes, verify, threading.Event())
    write(scene, "first", random.Random(seed))  # there is a store from the beginning
    neighbours = make_neighbours(scene)
    processes.token = neighbours.admin
    with Server(scene.store) as server:
        ask_all_neighbours(scene, neighbours, server.url)  # whatever a busy machine leaves of them

    def ask(scene: Scene, who: str, rng: random.Random) -> None:
        ask_neighbours(scene, neighbours, rng)

    def serve(scene: Scene, who: str, rng: random.Random) -> None:
        _serve(scene, neighbours, rng)

    stop = threading.Event()
    threads = [
        threading.Thread(target=_act, args=(scene, who, turn, seed, stop))
        for who, turn in {
            **_ACTORS,
            "killer": _kill,
            "server": serve,
            "neighbour": ask,
        }.items()
    ]
    for thread in threads:
        thread.start()
    ledger.failed.wait(seconds)  # the first broken promise is enough
    stop.set()
    for thread in threads:
        thread.join()
    _judge(scene, neighbours)
    return ledger


def _act(scene: Scene, who: str, turn: Turn, seed: int, stop: threading.Event) -> None:
    rng = random.Random(f"{seed} {who}")
    while not stop.is_set():
        try:
            turn(scene, who, rng)
        except Exception as error:  # a thread that died silently would test nothing
            scene.ledger.wrong(f"{who}: {error!r}")
        stop.wait(rng.random() * 0.2)


def _kill(scene: Scene, who: str, rng: random.Random) -> None:
    """Kills a process about every second."""
    time.sleep(rng.uniform(0.2, 1.8))
    if (verb := scene.processes.kill_one(rng)) is not None:
        scene.ledger.count(f"killed: {verb}")


def _serve(scene: Scene, neighbours: Neighbours, rng: random.Random) -> None:
    """Serves for some seconds unless killed, with collections."""
    port = scene.url.rpartition(":")[2]
    log = scene.folder / f"serve-{time.monotonic_ns()}.log"
    options = ["--writable", "--gc-interval", "5s", "--workers", rng.choice(["1", "2"])]
    where = ("--store", scene.store, "--listen", f"127.0.0.1:{port}")
    with log.open("wb") as stderr:
        process = start("serve", *where, *options, stderr=stderr)
    with scene.processes.exposed("serve", process):
        until = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < until:
            if not scene.serving.is_set() and listens(int(port)):
                scene.serving.set()
                until = time.monotonic() + rng.uniform(5, 20)
            time.sleep(0.05)
    scene.serving.clear()
    process.terminate()
    process.communicate(timeout=_STOP_SECONDS)
    status = process.returncode
    ended = Ended(status, b"", log.read_text(errors="replace"))
    if status == 0:
        scene.ledger.count("serve: stopped")
    elif status == 1 and "the first worker was killed by SIGKILL" in ended.err:
        scene.ledger.count("serve: killed")
    else:
        scene.excused("serve", ended, _CUT_OFF)
    for line in ended.err.splitlines():
        fails = " 500 objects=" in line and neighbours.mark not in line
        if "Traceback" in line or fails or "while it used the store" in line:
            scene.ledger.wrong(f"the server says: {line}")
    while listens(int(port)):  # also ends what a killed supervisor leaves
        time.sleep(0.02)


def _judge(scene: Scene, neighbours: Neighbours) -> None:
    """Collects once more and checks everything, after all actors have ended."""
    collected = scene.processes.run("gc", "--window", "0", "--store", scene.store, safe=True)
    if collected.status:
        scene.ledger.wrong(f"the last gc: {collected.err[-500:]}")
    for store in sorted(scene.folder.glob("*store")):
        ended = scene.processes.run("verify", "--store", store, safe=True)
        if ended.status:
            scene.ledger.wrong(f"verify of {store.name}: {ended.out.decode()} {ended.err}")
    with Server(scene.store) as server, ThreadPoolExecutor(4) as pool:
        ask_all_neighbours(scene, neighbours, server.url)
        versions = scene.ledger.those(State.THERE)
        versions += scene.ledger.those(State.UNKNOWN)[-_MOST_UNKNOWN:]
        for _ in pool.map(lambda version: _compare(scene, server.url, version), versions):
            pass


def _compare(scene: Scene, url: str, version: Version) -> None:
    """Pulls one version completely, without local data."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
        out = Path(folder) / "out"
        ended = scene.processes.run(
            *("pull", version.ref, "-o", out, "--store", Path(folder) / "store", "--server", url),
            safe=True,
        )
        known = version in scene.ledger.those(State.THERE)
        if ended.status == _NOT_FOUND and not known:
            scene.ledger.count("in the end: unknown and gone")
        elif ended.status:
            scene.ledger.wrong(f"in the end: {version.ref}: {ended.err[-500:]}")
        elif sha256(out.read_bytes()).digest() != scene.contents.digest(version.content):
            scene.ledger.wrong(f"in the end: {version.ref} has other bytes")
        else:
            scene.ledger.count("in the end: pulled and equal")


if __name__ == "__main__":
    sys.exit(main())
