"""Pull: cold, with the old file, and in place; time without a relay, bytes through a relay."""

from __future__ import annotations

import filecmp
import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import Pair
from benchmarks.measure import Command, run
from benchmarks.peers.bita import Bita
from benchmarks.peers.bounds import B3sum, Cp, Curl
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.desync import Desync
from benchmarks.peers.ours import Ours
from benchmarks.peers.rsync import Rsync
from benchmarks.peers.xdelta3 import Xdelta3
from benchmarks.peers.zchunk import Zchunk
from benchmarks.peers.zsync import Zsync
from benchmarks.scene import Scene, copy, write_data
from benchmarks.servers import fetched_bytes, relayed
from benchmarks.sheet import OURS

GIB = 1 << 30
REMEMBERED = f"{OURS}, seed remembered"
PLAIN = f"{OURS}, plain"
DELTAS = f"{OURS}, deltas"
QUICK = (Ours, CasyncC, Desync, Rsync, Curl)
"""Contenders for all corpora."""

PULLERS = (*QUICK, Zchunk, Bita, Zsync)
"""Contenders for the first pair."""


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "transfer: files, stores and targets on tmpfs; bytes are counted at the socket by a relay,"
        " headers included, in a round of their own; times are taken without it. What of ours is"
        " the manifest comes from the log of the server, for a dry run, which fetches no more"
    )
    for corpus in bench.choices.corpora:
        folder = corpus.ready(bench.choices.scale)
        for number, pair in enumerate(corpus.of(folder)):
            with bench.scene(4 * GIB) as where:
                first = corpus.name == "vm" and number == 0
                one_pair(bench, where, pair, first=first)


def one_pair(bench: Bench, where: Scene, pair: Pair, *, first: bool) -> None:
    """Measures one update; the first one with all cases and all peers."""
    old, new = where.bring(pair.old, pair.new)
    bounds(bench, where, pair, old, new)
    peers = bench.some(*(PULLERS if first else QUICK))
    ready = {peer.name: publish(bench, where, peer, old, new) for peer in peers}
    transfer = _Transfer(bench, where, pair.label, old, new, ready)
    timed: dict[Mode, list[Contender]] = {}
    if first:
        timed = {Mode.COLD: peers, Mode.SEED: peers, Mode.IN_PLACE: peers}
    elif pair.label == "weights":
        timed = {Mode.COLD: bench.some(Ours, Curl)}
    for mode, who in timed.items():
        for number, peer in bench.rounds(taking_part(who, mode)):
            if mode is not Mode.IN_PLACE or number == 0 or isinstance(peer, Ours):
                transfer.timed(peer, mode, check=number == 0)
    for mode in dict.fromkeys((*timed, Mode.SEED)):
        for peer in taking_part(timed.get(mode, peers), mode):
            if mode is not Mode.SEED or not isinstance(peer, Ours):
                transfer.counted(peer, mode)
    transfer.ours_counted(bench.ours)


def taking_part(peers: list[Contender], mode: Mode) -> list[Contender]:
    """Slow contenders take minutes; they show their savings with a known old file."""
    return [peer for peer in peers if mode is Mode.SEED or not peer.slow]


def publish(bench: Bench, where: Scene, peer: Contender, old: Path, new: Path) -> Place:
    """Prepares what a contender serves, and what a receiver with the old file needs."""
    place = where.place(peer)
    bench.quietly(peer.setup(place))
    for source in (old, new) if isinstance(peer, Ours) else (new,):
        if command := peer.prepare(source, place):
            run(command)
    bench.quietly(peer.seed(old, place))
    return place


def bounds(bench: Bench, where: Scene, pair: Pair, old: Path, new: Path) -> None:
    """The lower bounds of the machine and the data."""
    patch = where.target(".xdelta")
    for tool in bench.some(Xdelta3):
        assert isinstance(tool, Xdelta3)
        case = f"{pair.label}: {Mode.SEED.value}"
        if bench.attempt(case, tool, tool.encode(old, new, patch), where, name=tool.name):
            bench.sheet.add(case, tool.name, received=patch.stat().st_size)
            patch.unlink()
    if pair.label != "vm, updated in place":
        return
    data = write_data(old, where.target(".data"))
    for _ in range(bench.choices.rounds):
        for hasher in bench.some(B3sum):
            assert isinstance(hasher, B3sum)
            bench.measure(f"{pair.label}: hash the old data", hasher, hasher.digest(data), where)
        for copier in bench.some(Cp):
            assert isinstance(copier, Cp)
            out = where.out / "copy"
            bench.measure(f"{pair.label}: cold", copier, copier.copy(new, out), where)
            out.unlink()
    for curl in bench.some(Curl):
        assert isinstance(curl, Curl)
        place = where.place(curl)
        for _ in range(bench.choices.rounds):
            with where.origin.serving(curl, place) as server:
                url = f"{server.url}/files/{new.name}"
                argv = (curl.binary, "-sS", "-f", "-o", "/dev/null", url)
                bench.measure(f"{pair.label}: loopback", curl, Command(argv), where)
                bench.sheet.add(f"{pair.label}: loopback", curl.name, received=new.stat().st_size)


class _Transfer:
    """The pulls of one pair, by all contenders that have published."""

    def __init__(
        self,
        bench: Bench,
        where: Scene,
        label: str,
        old: Path,
        new: Path,
        places: dict[str, Place],
    ) -> None:
        self._bench = bench
        self._where = where
        self._label = label
        self._old = old
        self._new = new
        self._places = places

    def timed(self, peer: Contender, mode: Mode, *, check: bool) -> None:
        """One measured pull; ours with a named seed, and with a known one."""
        place = self._places[peer.name]
        case = f"{self._label}: {mode.value}"
        for remembered in (False, True) if self._twice(peer, mode) else (False,):
            task = self._stage(peer, place, mode, remembered=remembered)
            name = REMEMBERED if remembered else peer.name
            with self._where.origin.serving(peer, place) as server:
                before = server.cpu()
                command = peer.pull(replace(task, url=server.url), place)
                done = self._bench.measure(case, peer, command, self._where, name=name)
                if done:
                    self._bench.sheet.add(case, name, server_cpu=server.cpu() - before)
            if check and done and not isinstance(peer, Zchunk):
                assert filecmp.cmp(task.out, self._new, shallow=False), f"{peer.name}: {case}"

    def counted(self, peer: Contender, mode: Mode, name: str = "") -> None:
        """One pull through the relay."""
        name = name or peer.name
        place = self._places[peer.name]
        case = f"{self._label}: {mode.value}"
        task = self._stage(peer, place, mode, remembered=False)
        with (
            self._where.origin.serving(peer, place) as server,
            relayed(server.url) as (url, counts),
        ):
            command = peer.pull(replace(task, url=url), place)
            if command is None:
                return
            done = self._bench.attempt(case, peer, command, self._where, name=name)
        if done is None:
            return
        requests = server.requests()
        self._bench.sheet.add(
            case,
            name,
            received=counts.received,
            sent=counts.sent,
            requests=requests or None,
        )
        print(f"  {case}: {name}: {counts}, {requests} requests", flush=True)

    def ours_counted(self, ours: Ours) -> None:
        """Our pull with a seed, with and without deltas, and the manifest's share."""
        case = f"{self._label}: {Mode.SEED.value}"
        place = self._places[ours.name]
        for delta, name in (("never", PLAIN), ("always", DELTAS)):
            variant = ours if ours.delta == "none" else ours.with_delta(delta)
            self.counted(variant, Mode.SEED, name)
            task = self._stage(ours, place, Mode.SEED, remembered=True)
            with self._where.origin.serving(ours, place) as server:
                run(variant.plan(replace(task, url=server.url), place))
            manifest = fetched_bytes(server.log.read_text())
            new_chunks = ours.prepared(self._new.stem, place)["new"]
            self._bench.sheet.add(case, name, manifest=manifest, new_chunks=new_chunks)

    @staticmethod
    def _twice(peer: Contender, mode: Mode) -> bool:
        return isinstance(peer, Ours) and mode is Mode.SEED

    def _stage(self, peer: Contender, place: Place, mode: Mode, *, remembered: bool) -> Task:
        """Sets the receiver up for a pull; returns the task without a server."""
        out = self._where.target(self._new.suffix)
        task = Task(self._new.stem, "", out, self._old, mode)
        if not isinstance(peer, Ours):
            if mode is Mode.IN_PLACE or (mode is Mode.SEED and peer.updates_target):
                copy(self._old, out)
            return task
        shutil.rmtree(peer.receiver(place), ignore_errors=True)
        if mode is not Mode.IN_PLACE and not remembered:
            return task
        held = out if mode is Mode.IN_PLACE else out.with_name("held")
        with self._where.origin.serving(peer, place) as server:
            run(peer.pull(Task(self._old.stem, server.url, held), place))
        return replace(task, old=None)
