"""A large sparse image, a hundredth of whose blocks change, pulled in place on a disk.

At scale 1 it has 16 GiB with 5 GiB of data; `--scale 4` has 64 and 20. It needs the data on the
disk once, and an eighth of it for each store.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from dataclasses import replace
from pathlib import Path

from blake3 import blake3

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.measure import Command
from benchmarks.peers.contender import Mode, Task
from benchmarks.scene import data_ranges
from benchmarks.suites.sizes import HALF
from benchmarks.suites.updates import REST_SECONDS, received, remember, telling
from benchmarks.update_targets import SPARSE

GIB = 1 << 30
LENGTH = 16 * GIB
DATA = 5 * GIB
EXTENT = 16 * MIB
EDIT_BYTES = 4096
LIMIT_SECONDS = 900.0
"""For each command, at scale 1."""


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        f"sparse: {LENGTH * bench.choices.scale / GIB:g} GiB with"
        f" {DATA * bench.choices.scale / GIB:g} GiB of data in extents of 16 MiB, on a disk; 4 KiB"
        " changed in every hundredth MiB; the old image is remembered"
    )
    ours = bench.ours
    with bench.scene(on_disk=True) as where:
        place = where.place(ours)
        out = where.target(".img")
        make(out, bench.choices.scale)
        old = edit(out)
        bench.quietly([patient(ours.prepare(out, place), bench)])
        wanted = digest(out)
        put_back(out, old)
        time.sleep(REST_SECONDS)
        bench.quietly([patient(remember(ours, place, out, "16KiB"), bench)])
        with where.origin.serving(ours, place) as server:
            task = Task(out.stem, server.url, out, mode=Mode.IN_PLACE)
            command = patient(telling(ours.pull(task, place)), bench)
            os.sync()  # else the pull waits until the disk has what the corpus wrote
            bench.measure(SPARSE, ours, command, where, sample=True, after=received)
        bench.sheet.add(SPARSE, ours.name, changed=sum(map(len, old.values())))
        assert digest(out) == wanted


def patient(command: Command, bench: Bench) -> Command:
    """A command that may take long, as the image is large."""
    return replace(command, limit=LIMIT_SECONDS * max(bench.choices.scale, 1))


def make(path: Path, scale: float) -> None:
    """Writes extents of bytes that compress to an eighth, evenly spread."""
    extents = max(round(DATA * scale) // EXTENT, 1)
    step = max(round(LENGTH * scale) // EXTENT // extents, 1) * EXTENT
    with path.open("wb") as file:
        for number in range(extents):
            file.seek(number * step)
            file.write(blake3(b"%d" % number).digest(length=EXTENT).translate(HALF))
        file.truncate(max(round(LENGTH * scale), file.tell()))


def edit(path: Path) -> dict[int, bytes]:
    """Overwrites a part of every hundredth MiB of data; returns what was there, by its offset."""
    maker = random.Random(20260105)
    number = 0
    old: dict[int, bytes] = {}
    ranges = list(data_ranges(path))
    with path.open("r+b") as file:
        for begin, end in ranges:
            for at in range(begin + 77, end, MIB):
                if number % 100 == 0:
                    file.seek(at)
                    old[at] = file.read(EDIT_BYTES)
                    file.seek(at)
                    file.write(maker.randbytes(len(old[at])))
                number += 1
    return old


def put_back(path: Path, old: dict[int, bytes]) -> None:
    """Undoes `edit`."""
    with path.open("r+b") as file:
        for at, data in old.items():
            file.seek(at)
            file.write(data)


def digest(path: Path) -> bytes:
    """The digest of the bytes that are not zeros and of where they lie, holes or not."""
    found = hashlib.blake2b()
    done = 0
    with path.open("rb") as file:
        for begin, end in data_ranges(path):
            for at in range(max(begin // MIB * MIB, done), end, MIB):
                file.seek(at)
                piece = file.read(MIB)
                done = at + MIB
                if piece.strip(b"\0"):
                    found.update(at.to_bytes(8, "little") + piece)
    return found.digest()
