"""Many concurrent cold pulls, while /healthz is polled."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.corpora.registry import CORPORA
from benchmarks.measure import Run, run
from benchmarks.peers.contender import Place, Task
from benchmarks.scene import Scene, write_data

GIB = 1 << 30
PULLERS = (1, 2, 4, 8, 16, 32, 64)
COMPARED = (1, 32)
"""Counts for the target; the others show the curve, with one round."""

PULLED_BYTES = 128 * MIB
POLL_SECONDS = 0.1


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "pullers: each pulls the same 128 MiB of data of the vm corpus into a file and a store of"
        " its own; clients and server share the machine's CPUs"
    )
    ours = bench.ours
    corpus = CORPORA["vm"]
    image = corpus.ready(bench.choices.scale) / corpus.files[0]
    with bench.scene(9 * GIB) as where:
        part = middle(write_data(image, where.files / "dense.img"), where.files / "part.img")
        place = where.place(ours)
        bench.quietly([ours.prepare(part, place)])
        for number in range(bench.choices.rounds):
            for count in PULLERS if number == 0 else COMPARED:
                together(bench, where, place, count)


def middle(dense: Path, part: Path) -> Path:
    """Copies `PULLED_BYTES` from the middle of `dense` to `part`, and removes `dense`."""
    with dense.open("rb") as source:
        source.seek(max(dense.stat().st_size - PULLED_BYTES, 0) // 2)
        part.write_bytes(source.read(PULLED_BYTES))
    dense.unlink()
    return part


def together(bench: Bench, where: Scene, place: Place, count: int) -> None:
    """One round of `count` pulls at once."""
    ours = bench.ours
    out = where.target(".img").parent
    with where.origin.serving(ours, place) as server:
        commands = []
        for number in range(count):
            own = Place(place.served, out / f"{number}", place.path)
            own.local.mkdir()
            shutil.copy(place.local / "part.json", own.local)
            task = Task("part", server.url, own.local / "out.img")
            commands.append(ours.pull(task, own))
        poller = _Poller(f"{server.url}/healthz")
        poller.start()
        done: list[Run] = []
        begin = time.perf_counter()
        threads = [
            threading.Thread(target=lambda command=command: done.append(run(command)))
            for command in commands
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begin
        poller.stop()
    assert len(done) == count, "a pull failed"
    rate = count * PULLED_BYTES / seconds
    bench.sheet.add(
        f"{count} at once",
        ours.name,
        seconds=seconds,
        rate=rate,
        health_slowest=max(poller.answers),
        health_answers=len(poller.answers),
        health_failures=poller.failures,
    )
    print(f"  {count}: {rate / 1e6:.0f} MB/s, /healthz at most {max(poller.answers):.3f} s")
    shutil.rmtree(out)
    out.mkdir()


class _Poller(threading.Thread):
    """Requests a URL ten times per second, and records how long each takes."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.answers: list[float] = []
        self.failures = 0
        self._url = url
        self._stopped = threading.Event()

    def run(self) -> None:
        """Asks."""
        while True:
            begin = time.perf_counter()
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:
                    answer.read()
                self.answers.append(time.perf_counter() - begin)
            except OSError:
                self.failures += 1
            if self._stopped.wait(POLL_SECONDS):
                return

    def stop(self) -> None:
        """Ends."""
        self._stopped.set()
        self.join()
