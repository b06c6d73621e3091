"""A store in a bucket: new data, known data and pulls, against rclone and a store in LMDB."""

from __future__ import annotations

import filecmp
import random
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.measure import Command, Run
from benchmarks.peers.ours import Ours
from benchmarks.peers.rclone import Rclone
from benchmarks.scene import Scene
from benchmarks.sheet import OURS, turns
from benchmarks.storages import BUCKET, STORAGES, StorageServer, UnavailableError

MIBS = 1024
LMDB = f"{OURS}, LMDB"
NAME = "disk"
AGAIN = 2
"""Prepares of known data in each round."""


@dataclass(frozen=True)
class Store:
    """A store in a bucket or in a folder, and how a host reaches it.

    Attributes:
        address: Its address or its folder.
        variables: Variables with the credentials, and the place of the host's cache.
    """

    address: Path | str
    variables: Mapping[str, str]

    def command(self, ours: Ours, *words: str | Path) -> Command:
        """A command of ours on it."""
        command = ours.command(self.address, *words)
        return replace(command, env={**command.env, **self.variables})


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    length = max(16, round(MIBS * bench.choices.scale))
    bench.sheet.note(
        f"buckets: a file of {length} MiB, of which each second MiB is random and the others are"
        " hexadecimal digits, into stores that exist. Known is the same file with --reread, twice"
        " in each round; pulls go into nothing, from `casync serve` on the host that prepared the"
        " file. Requests are those to the storage. Memory is that of one run on a disk, where maps"
        " of the store are not counted"
    )
    for label in STORAGES:
        with bench.scene(5 * length * MIB) as where:
            compare(bench, where, label, length, bench.choices.rounds)
    with bench.scene(on_disk=True) as where:
        compare(bench, where, "versitygw", length, 1, for_memory=True)


def compare(
    bench: Bench, where: Scene, label: str, length: int, rounds: int, *, for_memory: bool = False
) -> None:
    """All contenders on one server: their time, or once their memory."""
    rclone = next((peer for peer in bench.peers if isinstance(peer, Rclone)), None)
    if rclone is None:
        bench.sheet.note("buckets: not measured without rclone")
        return
    image = write(where.files / "image", length)
    home = where.folder / "s"  # a short path: Ceph's sockets lie in it
    home.mkdir()
    with ExitStack() as stack:
        try:
            server = stack.enter_context(STORAGES[label](home))
        except UnavailableError as error:
            bench.sheet.note(f"{label} is not measured: {error}")
            print(f"  {label} is not measured: {error}", flush=True)
            return
        bench.quietly([rclone.make_bucket(server.upload(image, ""))])
        for number in range(rounds):
            once = _Round(bench, where, server, rclone, image, label, number, for_memory)
            once.make_stores()
            once.prepare_new()
            once.prepare_known()
            once.pull()
            once.remove()


def write(path: Path, length: int) -> Path:
    """Writes a file, half random and half compressible."""
    maker = random.Random(length)
    with path.open("wb") as file:
        for number in range(length):
            data = maker.randbytes(MIB if number % 2 else MIB // 2)
            file.write(data if number % 2 else data.hex().encode())
    return path


@dataclass
class _Round:
    """One round on one server, with new stores and a new host."""

    bench: Bench
    where: Scene
    server: StorageServer
    rclone: Rclone
    image: Path
    label: str
    number: int
    for_memory: bool

    def __post_init__(self) -> None:
        self.folder.mkdir()
        cache = {"XDG_CACHE_HOME": str(self.folder / "cache")}
        address = f"s3://{BUCKET}/{self.folder.name}/store"
        self.stores = {
            OURS: Store(address, {**self.server.reach, **cache}),
            LMDB: Store(self.folder / "store", cache),
        }

    @property
    def folder(self) -> Path:
        """The folder of the host; what is in the bucket is named like it."""
        return self.where.folder / f"round-{self.number}"

    def make_stores(self) -> None:
        """Makes the stores, of which that in the bucket probes the storage once."""
        first = self.folder / "first"
        first.write_bytes(b"makes the store")
        ours = self.bench.ours
        self.bench.quietly(
            store.command(ours, "-q", "prepare", first) for store in self.stores.values()
        )

    def prepare_new(self) -> None:
        """Takes the file into new stores, and copies it with rclone."""
        copied = self.rclone.upload(self.server.upload(self.image, f"{self.folder.name}/copy"))
        for name in turns((*self.stores, Rclone.name), self.number):
            if name == Rclone.name:
                self._measure("new", name, copied)
            else:
                self._measure("new", name, self._prepare(name))

    def prepare_known(self) -> None:
        """Takes the same file again."""
        for again in range(AGAIN):
            for name in turns(self.stores, self.number + again):
                self._measure("known", name, self._prepare(name, "--reread"))

    def pull(self) -> None:
        """Pulls the file from a server of each store."""
        ours = self.bench.ours
        for name in turns(self.stores, self.number):
            store = self.stores[name]
            receiver = self.folder / "receiver"
            shutil.rmtree(receiver, ignore_errors=True)
            out = self.where.target("")
            with self.where.origin.serving_store(ours, store.address, store.variables) as server:
                words = ("-q", "pull", NAME, "-o", out, "--server", server.url)
                self._measure("pull", name, ours.command(receiver, *words))
            assert filecmp.cmp(out, self.image, shallow=False)
            out.unlink()

    def remove(self) -> None:
        """Removes all that the round has stored."""
        self.bench.quietly([self.rclone.remove(self.server.upload(self.image, self.folder.name))])
        shutil.rmtree(self.folder)

    def _prepare(self, name: str, *options: str) -> Command:
        words: tuple[str | Path, ...] = ("-q", "prepare", self.image, "--name", NAME, *options)
        return self.stores[name].command(self.bench.ours, *words)

    def _measure(self, what: str, name: str, command: Command) -> None:
        before = self.server.requests()
        case = f"memory, {what}: {self.label}" if self.for_memory else f"{what}: {self.label}"
        peer = self.rclone if name == Rclone.name else self.bench.ours
        after = None if name == LMDB else partial(self._requests, before=before)
        sample = self.for_memory
        self.bench.measure(case, peer, command, self.where, name=name, sample=sample, after=after)

    def _requests(self, _: Run, before: int) -> dict[str, float | None]:
        return {"requests": self.server.requests() - before}
