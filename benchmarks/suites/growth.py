"""How time and memory grow with the size, the CPUs and the number of those who pull."""

from __future__ import annotations

import random
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
from benchmarks.scene import Scene

GIB = 1 << 30
SIZES = (1, 2, 4, 8)
PULLERS = (1, 2, 4, 8, 16, 32, 64)
PULLED_BYTES = 128 * MIB
POLL_SECONDS = 0.1
HALF = bytes(value & 1 for value in range(256))


def sizes(bench: Bench) -> None:
    """Prepare and pull of 1 to 8 GiB: seconds, and memory of all processes."""
    bench.sheet.note(
        "sizes: a seeded stream of random bits, a bit in each byte, which zstd makes an eighth of;"
        " files and stores on a disk and in the page cache, where maps of the store are not counted"
        " as memory; one process samples RssAnon + RssShmem of all others every 10 ms"
    )
    largest = max(1, round(max(SIZES) * bench.choices.scale))
    with bench.scene(on_disk=True) as where:
        for gib in (size for size in SIZES if size <= largest):
            grow(bench, where, where.files / f"{gib}.bin", gib)


def grow(bench: Bench, where: Scene, path: Path, gib: int) -> None:
    """One size."""
    ours = bench.ours
    place = where.place(ours)
    stream(path, gib * GIB)
    case = f"{gib} GiB"
    bench.measure(f"prepare: {case}", ours, ours.prepare(path, place), where, sample=True)
    with where.origin.serving(ours, place) as server:
        out = where.target(".bin")
        task = Task(path.stem, server.url, out)
        bench.measure(f"pull: {case}", ours, ours.pull(task, place), where, sample=True)
    path.unlink()
    shutil.rmtree(where.out)
    where.clear(place)


def stream(path: Path, size: int) -> None:
    """Writes bytes that compress to an eighth; a shorter file is a prefix of a longer one."""
    maker = random.Random(20260103)
    with path.open("wb") as file:
        for _ in range(size // (16 * MIB)):
            file.write(maker.randbytes(16 * MIB).translate(HALF))


def cpus(bench: Bench) -> None:
    """The same commands on one CPU and on two."""
    weights = CORPORA["weights"]
    images = CORPORA["vm"]
    sources = {
        "vm": images.ready(bench.choices.scale) / images.files[0],
        "incompressible": weights.ready(bench.choices.scale) / weights.files[0],
    }
    ours = bench.ours
    with bench.scene(4 * GIB) as where:
        for name, source in sources.items():
            (path,) = where.bring(source)
            for _ in range(bench.choices.rounds):
                for count in (1, 2):
                    place = where.place(ours)
                    command = ours.prepare(path, place)
                    if count == 1:
                        command = command.on_one_cpu()
                    bench.measure(f"prepare, {name}: {count} CPU", ours, command, where)
                    where.clear(place)


def pullers(bench: Bench) -> None:
    """1 to 64 cold pulls at once of 128 MiB each, while somebody asks for /healthz."""
    bench.sheet.note(
        "pullers: each pulls the same 128 MiB of the vm corpus into a file and a store of its own;"
        " clients and server share the machine's CPUs"
    )
    ours = bench.ours
    corpus = CORPORA["vm"]
    image = corpus.ready(bench.choices.scale) / corpus.files[0]
    with bench.scene(9 * GIB) as where:
        part = where.files / "part.img"
        with image.open("rb") as source:
            source.seek(512 * MIB)
            part.write_bytes(source.read(PULLED_BYTES))
        place = where.place(ours)
        bench.quietly([ours.prepare(part, place)])
        for _ in range(bench.choices.rounds):
            for count in PULLERS:
                together(bench, where, place, count)


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
    """Asks for a URL ten times a second, and keeps how long it took."""

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
