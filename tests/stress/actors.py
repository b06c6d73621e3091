"""Actors of a stress run. Each turn of an actor is one function.

An unexplained exit status is a broken promise: only a kill of the command or of its server excuses
it.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from casync.errors import LockedError
from casync.ops.upkeep.gc import CollectOptions
from casync.ops.upkeep.gc import collect as collect_store
from casync.store.lmdb.store import LmdbStore
from casync.store.push import SILENCE
from tests.stress.contents import Contents
from tests.stress.ledger import Ledger, State, Version
from tests.stress.processes import Ended, Processes

__all__ = ["Scene", "collect", "pull", "push", "remove_or_restore", "write"]

_MOST_THERE: Final = 120
"""Above this number of versions, removals outweigh additions."""

_AT_ONCE: Final = 100
"""Versions that one request may remove at most."""

_SERVER_SECONDS: Final = 10.0
"""Seconds for a server to come back."""

_SERVER_GONE: Final = 5
_LOCKED: Final = 7
_NOT_FOUND: Final = 9


class Scene(NamedTuple):
    """State that all actors share.

    Attributes:
        folder: Folder of the run.
        url: URL of the server, if it runs.
        contents: Inputs.
        ledger: Acknowledged versions.
        processes: Running processes.
        verify: Verify after each collection.
        serving: Set while a server listens.
    """

    folder: Path
    url: str
    contents: Contents
    ledger: Ledger
    processes: Processes
    verify: bool
    serving: threading.Event

    @property
    def store(self) -> Path:
        """The store that all actors use."""
        return self.folder / "store"

    def excused(self, what: str, ended: Ended, *allowed: int) -> None:
        """Counts a failed command, and records an unexplained failure."""
        if ended.killed:
            self.ledger.count(f"{what}: killed")
        elif ended.status in allowed:
            self.ledger.count(f"{what}: exit status {ended.status}")
        else:
            self.ledger.wrong(f"{what}: exit status {ended.status}: {ended.err[-500:]}")


def write(scene: Scene, who: str, rng: random.Random) -> None:
    """Prepares a new input, or an input that this writer, or all, prepared before."""
    choice = rng.random()
    place = rng.randrange(4)
    path = scene.folder / f"{who}-{place}"
    number_file = path.with_suffix(".number")
    if choice < 0.25 and number_file.exists():
        number = int(number_file.read_text())  # the same file, perhaps in the scan cache
    else:
        number = rng.randrange(40) if choice < 0.5 else rng.randrange(1 << 30)
        path.write_bytes(scene.contents.make(number))
        number_file.write_text(str(number))
    name = f"{who}/{place}"
    since = scene.ledger.now()
    ended = scene.processes.run("prepare", path, "--name", name, "--store", scene.store, "--json")
    if ended.status:
        scene.excused("prepare", ended)
        return
    done = ended.document
    version = Version(name, done["version"], done["manifest"], number)
    scene.ledger.acknowledge(version, since)
    scene.ledger.count("prepare: done")
    scene.ledger.count("prepare: bytes", done["length"])


def push(scene: Scene, who: str, rng: random.Random) -> None:
    """Prepares into its own store, and pushes from there, perhaps in two parts first."""
    own, path = scene.folder / f"{who}-store", scene.folder / who
    number = rng.randrange(40) if rng.random() < 0.3 else rng.randrange(1 << 30)
    path.write_bytes(scene.contents.make(number))
    prepared = scene.processes.run("prepare", path, "--store", own, "--json", safe=True)
    assert prepared.status == 0, prepared.err
    hash_ = prepared.document["manifest"]
    name = f"{who}/{rng.randrange(4)}"
    command = ("push", hash_, "--store", own, "--server", scene.url, "--retry-for", "60s", "--json")
    if rng.random() < 0.4:
        parts = [(*command, "--part", part) for part in ("1/2", "2/2")]
        scene.serving.wait(_SERVER_SECONDS)
        with ThreadPoolExecutor(2) as pool:
            for ended in pool.map(lambda part: scene.processes.run(*part), parts):
                if ended.status:
                    scene.excused("push of a part", ended, _SERVER_GONE)
                else:
                    scene.ledger.count("push of a part: done")
    for _ in range(5):
        scene.serving.wait(_SERVER_SECONDS)
        since = scene.ledger.now()
        ended = scene.processes.run(*command, "--name", name)
        if ended.status == 0:
            done = ended.document
            scene.ledger.acknowledge(Version(name, done["version"], hash_, number), since)
            scene.ledger.count("push: done")
            scene.ledger.count("push: bytes sent", done["sent"])
            return
        scene.excused("push", ended, _SERVER_GONE)


def pull(scene: Scene, who: str, rng: random.Random) -> None:
    """Pulls an acknowledged version over an earlier pull, and compares it."""
    version = scene.ledger.choose(rng, State.THERE)
    if version is None:
        return
    own, out = scene.folder / f"{who}-store", scene.folder / f"{who}-out"
    stamp = scene.ledger.stamp(version)
    options = ["--cache"] if rng.random() < 0.5 else []
    ref = rng.choice([version.ref, version.manifest])
    scene.serving.wait(_SERVER_SECONDS)
    ended = scene.processes.run(
        *("pull", ref, "-o", out, "--store", own, "--server", scene.url, "--retry-for", "20s"),
        *("--json", *options),
    )
    if ended.status == 0:
        if hashlib.sha256(out.read_bytes()).digest() != scene.contents.digest(version.content):
            scene.ledger.wrong(f"pull {ref}: other bytes")
        scene.ledger.count("pull: done and equal")
        scene.ledger.count("pull: bytes received", ended.document["received"])
    elif scene.ledger.stamp(version) == stamp:
        scene.excused(f"pull {ref}" if ended.status == _NOT_FOUND else "pull", ended, _SERVER_GONE)
    else:  # it was removed meanwhile
        scene.excused("pull", ended, _SERVER_GONE, _NOT_FOUND)
    if rng.random() < 0.1 and own.exists():
        ended = scene.processes.run("gc", "--window", "0", "--store", own)
        if ended.status:
            scene.excused("gc at a puller", ended)


def remove_or_restore(scene: Scene, who: str, rng: random.Random) -> None:
    """Moves versions to the trash, or restores some; locally or through the server."""
    there = len(scene.ledger.those(State.THERE))
    place = ("--store", scene.store) if rng.random() < 0.7 else ("--server", scene.url)
    scene.serving.wait(_SERVER_SECONDS)
    if rng.random() < 0.35 and there < _MOST_THERE:
        _restore(scene, place, rng)
        return
    number = max(1, there - _MOST_THERE)
    chosen = {scene.ledger.choose(rng, State.THERE) for _ in range(number)}
    versions = sorted(version for version in chosen if version)[:_AT_ONCE]
    if not versions or rng.random() * _MOST_THERE > there:
        return
    for version in versions:
        scene.ledger.set(version, State.UNKNOWN)
    ended = scene.processes.run("rm", *(version.ref for version in versions), *place)
    if ended.status == 0:
        for version in versions:
            scene.ledger.set(version, State.REMOVED)
        scene.ledger.count("rm: done")
        scene.ledger.count("rm: versions", len(versions))
    else:
        scene.excused("rm", ended, _SERVER_GONE)


def _restore(scene: Scene, place: tuple[str | Path, ...], rng: random.Random) -> None:
    chosen = scene.ledger.choose(rng, State.REMOVED)
    if chosen is None:
        return
    for other in scene.ledger.those(State.REMOVED):
        if other.name == chosen.name:
            scene.ledger.set(other, State.UNKNOWN)
    ended = scene.processes.run("undelete", chosen.name, *place, "--json")
    if ended.status:  # a collection may have deleted it first
        scene.excused("undelete", ended, _SERVER_GONE, _NOT_FOUND)
        return
    for each in ended.document["versions"]:
        version = scene.ledger.of(f"{each['name']}@{each['version']}")
        if version is None or version.manifest != each["manifest"]:
            scene.ledger.wrong(f"undelete brought back {each}, which nobody removed")
        else:
            scene.ledger.set(version, State.THERE)
    scene.ledger.count("undelete: done")


def collect(scene: Scene, who: str, rng: random.Random) -> None:
    """Collects, mostly without a window."""
    if rng.random() < 0.25:
        _collect_a_day_later(scene)
        return
    window = rng.choice(["0", "0", "0", "1h"])
    ended = scene.processes.run("gc", "--window", window, "--store", scene.store, "--json")
    if ended.status:
        scene.excused("gc", ended, _LOCKED)
        return
    done = ended.document
    _collected(scene, done["objects"], done["stored"], done["moved"])
    if scene.verify:
        ended = scene.processes.run("verify", "--store", scene.store)
        if ended.status:
            scene.excused("verify" + ended.out[-500:].decode(), ended)
        else:
            scene.ledger.count("verify: done")


def _collect_a_day_later(scene: Scene) -> None:
    """Ends interrupted pushes, as the store does after a day of silence.

    Otherwise the first of them would protect all later objects. Running pushes lose their
    promises, too, and start again.
    """
    with LmdbStore.open(scene.store) as store:
        store._clock = lambda: time.time() + SILENCE + 60
        try:
            done = collect_store(store, CollectOptions(window=0))
        except LockedError:
            scene.ledger.count(f"gc: exit status {_LOCKED}")
            return
    scene.ledger.count("gc: a day later")
    _collected(scene, done.objects, done.stored, done.moved)


def _collected(scene: Scene, objects: int, stored: int, moved: int) -> None:
    scene.ledger.count("gc: done")
    scene.ledger.count("gc: objects collected", objects)
    scene.ledger.count("gc: bytes collected", stored)
    scene.ledger.count("gc: bytes moved", moved)
