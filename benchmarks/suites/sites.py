"""Pulls from a static site: requests, bytes and time, against what is needed and a server."""

from __future__ import annotations

import filecmp
import json
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.measure import Command, Run
from benchmarks.peers.contender import Place
from benchmarks.scene import Scene, copy
from benchmarks.sheet import OURS

MIBS = 1024
VERSIONS = 10
PLACES = 216
PLACE_BYTES = 80_000
"""Each version changes 2 % of the chunks of 1 GiB, in this many places of this many bytes."""

COLD = "cold, the last of ten versions"
UPDATE = "update of 2 %"
PUBLISH = "publish of 2 %"
SERVER = f"{OURS}, casync serve"
NAME = "disk"
REST_SECONDS = 2.5
"""After this long any file system's clock has moved, so that a prepared file counts as settled."""


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    length = max(16, round(MIBS * bench.choices.scale))
    places = max(1, PLACES * length // MIBS)
    bench.sheet.note(
        f"sites: an incompressible image of {length} MiB in {VERSIONS} versions, each of which"
        f" changes {places} places of {PLACE_BYTES} bytes; published one after the other, and"
        " pulled from nginx and from `casync serve` of the same store. Needed are the payloads of"
        " the chunks that the receiver lacks. Requests of `publish` are the objects that it writes"
    )
    with bench.scene(8 * length * MIB) as where:
        place = where.place(bench.ours)
        old, new = where.files / "old.img", where.files / "new.img"
        needed = publish(bench, where, place, length, places)
        for _ in range(bench.choices.rounds):
            pull(bench, where, place, new, COLD, None, stored(bench, place))
            pull(bench, where, place, new, UPDATE, old, needed)


def publish(bench: Bench, where: Scene, place: Place, length: int, places: int) -> int:
    """Publishes all versions, and measures the last one; the bytes that are new in it.

    The last two stay as `old.img` and `new.img`.
    """
    maker = random.Random(length)
    old, new = where.files / "old.img", where.files / "new.img"
    with new.open("wb") as file:
        for _ in range(length):
            file.write(maker.randbytes(MIB))
    ours = bench.ours
    store, site = ours.stored(place), place.served / "site"
    prepare = ours.command(store, "-q", "prepare", new, "--name", NAME)
    send = ours.command(store, "--json", "publish", NAME, site, "--history", str(VERSIONS))
    for _ in range(VERSIONS - 1):
        bench.quietly([prepare, send])
        shutil.copyfile(new, old)
        change(new, places, maker)
    bench.quietly([prepare])
    before = objects(site)
    done = bench.measure(PUBLISH, ours, send, where, after=lambda done: written(done, site, before))
    assert done is not None
    return int(json.loads(done.out)["stored"])


def change(image: Path, places: int, maker: random.Random) -> None:
    """Overwrites places of an image."""
    length = image.stat().st_size
    with image.open("r+b") as file:
        for _ in range(places):
            file.seek(maker.randrange(length - PLACE_BYTES))
            file.write(maker.randbytes(PLACE_BYTES))


def written(done: Run, site: Path, before: dict[Path, int]) -> dict[str, float | None]:
    """The objects that a publish wrote, and the bytes that were new."""
    fresh = objects(site).items() - before.items()
    return {"requests": len(fresh), "needed": json.loads(done.out)["stored"]}


def objects(site: Path) -> dict[Path, int]:
    """The objects of a site, and when each was written."""
    found = (path for path in site.rglob("*") if path.is_file() and ".writing" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in found}


def stored(bench: Bench, place: Place) -> int:
    """The bytes of the payloads of the whole image."""
    out = place.local / "shown.json"
    store = bench.ours.stored(place)
    bench.quietly([bench.ours.command(store, "--json", "show", NAME, stdout=out)])
    return int(json.loads(out.read_text())["stored"])


def pull(
    bench: Bench, where: Scene, place: Place, new: Path, case: str, old: Path | None, needed: int
) -> None:
    """One pull from the site, and one from the server."""
    ours = bench.ours
    for label, opened in (
        (OURS, partial(site_of, where, place)),
        (SERVER, partial(server_of, bench, where, place)),
    ):
        shutil.rmtree(ours.receiver(place), ignore_errors=True)
        out = where.target(".img")
        if old is not None:
            copy(old, out)
            time.sleep(REST_SECONDS)
            bench.quietly([ours.command(ours.receiver(place), "-q", "prepare", out)])
        with opened() as url:
            words = ("--json", "pull", NAME, "-o", out, "--server", url)
            command: Command = ours.command(ours.receiver(place), *words)
            after = partial(traffic, needed=needed)
            bench.measure(case, ours, command, where, name=label, after=after)
        assert filecmp.cmp(out, new, shallow=False)


@contextmanager
def site_of(where: Scene, place: Place) -> Iterator[str]:
    """nginx, which serves the site; its URL."""
    with where.origin.web() as web:
        yield f"{web.url}/{place.served.name}/site"


@contextmanager
def server_of(bench: Bench, where: Scene, place: Place) -> Iterator[str]:
    """`casync serve` of the store; its URL."""
    with where.origin.serving(bench.ours, place) as server:
        yield server.url


def traffic(done: Run, needed: int) -> dict[str, float | None]:
    """The requests and bytes of a pull, and what it needed."""
    document = json.loads(done.out)
    return {
        "requests": document["requests"],
        "received": document["received"],
        "needed": needed,
    }
