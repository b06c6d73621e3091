"""Members of shards in random order, and shards from their beginning to their end."""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import Command
from benchmarks.peers.contender import Place
from benchmarks.scene import Scene
from benchmarks.sheet import OURS, turns

HERE = Path(__file__).parents[2]
MEMBERS = 10_000
MEMBER_BYTES = 100_000
READ = 1000
SCANNED = 10
"""Members that are read by scanning; their time counts as often as the others are more."""

SHARDS = 8
SAMPLES = 1000
SAMPLE_BYTES = 64_000
ONE_BY_ONE = f"{OURS}, one request each"
SCAN = "range scan"
RATARMOUNT = "ratarmount, local file"
LOCAL = "local files"
LARGE_CHUNKS = f"{OURS}, chunks of 256 KiB"
TAR = "1,000 of 10,000 members: tar"
TGZ = "1,000 of 10,000 members: tgz"
WEBDATASET = "WebDataset, 8 shards of 64 MB"


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "shards: one reader, whose start is not counted. Members are of 100 KB, half of their bytes"
        " incompressible, in an order that was drawn; ours are read from a server, in one request"
        " to /v1/batch and one by one from /v1/files. A range scan reads the shard from nginx up to"
        f" the member, as AIStore does without an index; {SCANNED} are read, and count for all."
        " ratarmount has made its index before"
    )
    length = 2 * round(MEMBERS * MEMBER_BYTES * bench.choices.scale)
    for case, suffix in ((TAR, ".tar"), (TGZ, ".tar.gz")):
        with bench.scene(2 * length) as where:
            members(bench, where, case, suffix)
    with bench.scene(length) as where:
        whole_shards(bench, where)


def members(bench: Bench, where: Scene, case: str, suffix: str) -> None:
    """Random reads of one shard."""
    count = max(READ, round(MEMBERS * bench.choices.scale))
    shard = where.files / f"shard{suffix}"
    write_shard(shard, [(f"train/{n:06}.jpg", MEMBER_BYTES) for n in range(count)])
    maker = random.Random(count)
    names = where.folder / "names"
    names.write_text("\n".join(f"train/{maker.randrange(count):06}.jpg" for _ in range(READ)))
    few = where.folder / "few"
    few.write_text("\n".join(names.read_text().split()[:SCANNED]))
    place = where.place(bench.ours)
    bench.quietly([prepare(bench, place, shard, shard.name)])
    with where.origin.serving(bench.ours, place) as ours, where.origin.web() as web:
        readers = {
            OURS: reader("batch", ours.url, shard.name, names),
            ONE_BY_ONE: reader("files", ours.url, shard.name, names),
        }
        if find_spec("ratarmountcore"):
            readers[RATARMOUNT] = reader("ratarmount", str(where.files), shard.name, names)
        else:
            bench.sheet.note("not taking part: ratarmount (pip install ratarmount)")
        if suffix == ".tar":
            readers[SCAN] = reader("scan", web.url, shard.name, few)
        compare(bench, where, case, readers, times={SCAN: READ / SCANNED})


def whole_shards(bench: Bench, where: Scene) -> None:
    """A directory of shards, in order, by WebDataset."""
    if not find_spec("webdataset"):
        bench.sheet.note("not measured: WebDataset (pip install webdataset)")
        return
    samples = max(10, round(SAMPLES * bench.choices.scale))
    place = where.place(bench.ours)
    for number in range(SHARDS):
        shard = where.files / f"{number}.tar"
        write_shard(shard, [(f"{n:06}.jpg", SAMPLE_BYTES + n) for n in range(samples)])
        bench.quietly(
            [
                prepare(bench, place, shard, f"shards/{number}.tar"),
                prepare(bench, place, shard, f"large/{number}.tar", "--chunk-size", "256K"),
            ]
        )
    none = where.folder / "none"
    none.touch()
    store, last = str(bench.ours.stored(place)), SHARDS - 1
    readers = {
        OURS: reader("webdataset", store, f"casync://shards/{{0..{last}}}.tar", none),
        LARGE_CHUNKS: reader("webdataset", store, f"casync://large/{{0..{last}}}.tar", none),
        LOCAL: reader("webdataset", "-", f"{where.files}/{{0..{last}}}.tar", none),
    }
    compare(bench, where, WEBDATASET, readers)


def compare(
    bench: Bench,
    where: Scene,
    case: str,
    readers: dict[str, Command],
    times: dict[str, float] | None = None,
) -> None:
    """Runs all readers in turn. They must read the same, but for those that read less."""
    times = times or {}
    seen: dict[str, str] = {}
    for number in range(bench.choices.rounds):
        for name in turns(readers, number):
            done = bench.attempt(case, bench.ours, readers[name], where, name=name)
            if done is None:
                continue
            told = json.loads(done.out.splitlines()[-1])
            if name not in times:
                seen[name] = told["digest"]
            seconds = told["seconds"] * times.get(name, 1.0)
            bench.sheet.add(case, name, seconds=seconds, rate=told["bytes"] / told["seconds"])
            print(f"  {case}: {name}: {seconds:.2f} s", flush=True)
    assert len(set(seen.values())) == 1, seen


def prepare(bench: Bench, place: Place, shard: Path, name: str, *options: str) -> Command:
    """Stores a shard by name."""
    store = bench.ours.stored(place)
    return bench.ours.command(store, "-q", "prepare", shard, "--name", name, *options)


def reader(way: str, where: str, shard: str, names: Path) -> Command:
    """A reader in a process of its own."""
    argv = (sys.executable, "-m", "benchmarks.shard_readers", way, where, shard, names)
    return Command(argv, cwd=HERE)


def write_shard(path: Path, sizes: list[tuple[str, int]]) -> None:
    """Writes a tar, or a tgz; the bytes follow from the name of the shard."""
    maker = random.Random(path.name)
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    with tarfile.open(plain, "w") as archive:
        for name, size in sizes:
            info = tarfile.TarInfo(name)
            info.size = size
            half = maker.randbytes(size // 2)
            rest = half[:500] * (size // 900)
            archive.addfile(info, io.BytesIO(half + rest[: size - len(half)]))
    if plain != path:
        with plain.open("rb") as data, gzip.open(path, "wb", 1) as packed:
            shutil.copyfileobj(data, packed, 1 << 20)
        plain.unlink()
