"""What an update costs where little has changed: time, bytes and memory against the size."""

from __future__ import annotations

import filecmp
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.measure import Command, Run
from benchmarks.peers.contender import Mode, Place, Task
from benchmarks.peers.ours import Ours
from benchmarks.scene import Scene, copy
from benchmarks.sheet import OURS
from benchmarks.suites.tree_update import measure_tree
from benchmarks.suites.vm_updates import measure_images

MIBS = (256, 2048)
REST_SECONDS = 2.5
"""After this long any file system's clock has moved, so that a prepared file counts as settled."""

CHUNKS = ("1KiB", "16KiB")
COPY = "cp --sparse=always"


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "updates: incompressible images of which three bytes in the middle changed, on tmpfs; with"
        " chunks of 1 KiB, 2 GiB are as many chunks as 32 GiB of the default size. Memory is that"
        " of one run on a disk, where maps of the store are not counted. Updates of the vm corpus"
        " from a remembered old file run beside 0daa86c if --before names its command; the folder"
        " has files of some hundred bytes"
    )
    for size in MIBS:
        length = max(1, round(size * bench.choices.scale))
        with bench.scene(4 * length * MIB) as where:
            old, new = images(where.files, length)
            for chunks in CHUNKS:
                update(bench, where, old, new, f"{size} MiB, {chunks}", chunks)
        with bench.scene(on_disk=True) as where:
            old, new = images(where.files, length)
            label = f"{size} MiB, {CHUNKS[0]}"
            update(bench, where, old, new, label, CHUNKS[0], for_memory=True)

    measure_images(bench)
    measure_tree(bench)


def images(folder: Path, mibs: int) -> tuple[Path, Path]:
    """An image and its next version."""
    old, new = folder / "old.img", folder / "new.img"
    maker = random.Random(mibs)
    with old.open("wb") as file:
        for _ in range(mibs):
            file.write(maker.randbytes(MIB))
    shutil.copyfile(old, new)
    with new.open("r+b") as file:
        file.seek(mibs * MIB // 2 + 77)
        file.write(b"new")
    return old, new


def update(
    bench: Bench,
    where: Scene,
    old: Path,
    new: Path,
    label: str,
    chunks: str,
    *,
    for_memory: bool = False,
) -> None:
    """All ways to get from the old image to the new one: their time, or once their memory."""
    ours = bench.ours
    place = where.place(ours)
    for image in (old, new):
        bench.quietly([with_chunks(ours.prepare(image, place), chunks)])
    out = where.target(".img")
    if for_memory:
        kinds(bench, where, place, new, label, out)
    for _ in range(1 if for_memory else bench.choices.rounds):
        for case, mode in ways(ours, place, old, out, chunks, bench):
            case = f"memory, {case}: {label}" if for_memory else f"{case}: {label}"
            with where.origin.serving(ours, place) as server:
                command = telling(ours.pull(Task(new.stem, server.url, out, old, mode), place))
                bench.measure(case, ours, command, where, sample=for_memory, after=received)
            assert filecmp.cmp(out, new, shallow=False)
            out.unlink()
        if not for_memory:
            command = Command(("/bin/cp", "--sparse=always", old, out))
            bench.measure(f"over the old file: {label}", ours, command, where, name=COPY)
            out.unlink()
            reread(bench, where, place, old, f"named seed: {label}", chunks)
    where.clear(place)


def kinds(bench: Bench, where: Scene, place: Place, new: Path, label: str, out: Path) -> None:
    """The memory of pulls without an old file."""
    ours = bench.ours
    receiver = ours.receiver(place)
    manifest = ours.manifest(new.stem, place)
    for kind, words in (
        ("cold", ("-o", out)),
        ("to a stream", ("-o", "-")),
        ("into the store", ()),
    ):
        shutil.rmtree(receiver, ignore_errors=True)
        with where.origin.serving(ours, place) as server:
            said = ("-q", "pull", manifest, "--server", server.url, *words)
            command = ours.command(receiver, *said, stdout=Path(os.devnull))
            bench.measure(f"memory, {kind}: {label}", ours, command, where, sample=True)
    out.unlink()


def telling(command: Command) -> Command:
    """A command of `pull` that prints what it did as JSON, instead of nothing."""
    return replace(command, argv=tuple("--json" if w == "-q" else w for w in command.argv))


def received(done: Run) -> dict[str, float | None]:
    """The bytes that such a command has received."""
    return {"received": json.loads(done.out)["received"]}


def ways(
    ours: Ours, place: Place, old: Path, out: Path, chunks: str, bench: Bench
) -> Iterator[tuple[str, Mode]]:
    """Sets the receiver up for each way, one after the other."""
    for case, mode in (("in place", Mode.IN_PLACE), ("over the old file", Mode.COLD)):
        shutil.rmtree(ours.receiver(place), ignore_errors=True)
        copy(old, out)
        time.sleep(REST_SECONDS)
        bench.quietly([remember(ours, place, out, chunks)])
        yield case, mode
    shutil.rmtree(ours.receiver(place))
    yield "named seed", Mode.SEED


def remember(ours: Ours, place: Place, path: Path, chunks: str) -> Command:
    """Prepares a file into the receiver's store, which then remembers it."""
    command = ours.command(ours.receiver(place), "-q", "prepare", path, stdout=Path(os.devnull))
    return with_chunks(command, chunks)


def reread(bench: Bench, where: Scene, place: Place, old: Path, case: str, chunks: str) -> None:
    """Reading a known file again: what cutting an unknown seed costs at least."""
    ours = bench.ours
    command = with_chunks(ours.prepare(old, place), chunks)
    again = replace(command, argv=(*command.argv, "--reread"))
    bench.measure(case, ours, again, where, name=f"{OURS} prepare --reread")


def with_chunks(command: Command, chunks: str) -> Command:
    """A command of `prepare` with another chunk size."""
    return replace(command, argv=(*command.argv, "--chunk-size", chunks))
