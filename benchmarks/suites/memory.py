"""Peak memory of all contenders: prepare, and pull with the old file as seed, on a disk."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.corpora.registry import CORPORA
from benchmarks.memory import Sampler
from benchmarks.peers.borg import Borg
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.contender import Mode, Task
from benchmarks.peers.desync import Desync
from benchmarks.peers.ours import Ours
from benchmarks.peers.restic import Restic
from benchmarks.peers.rsync import Rsync
from benchmarks.scene import copy

PEERS = (Ours, CasyncC, Borg, Restic, Desync, Rsync)


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "memory: RssAnon + RssShmem of all processes of a command, sampled every 50 ms; files and"
        " stores on a disk. The seconds are those of a sampled run on a disk"
    )
    corpus = CORPORA["vm"]
    folder = corpus.ready(bench.choices.scale)
    with bench.scene(on_disk=True) as where:
        old, new = where.bring(*(folder / name for name in corpus.files[:2]))
        for peer in bench.some(*PEERS):
            place = where.place(peer)
            bench.quietly(peer.setup(place))
            taken = peer.prepare(new, place)
            bench.measure("vm: prepare", peer, taken, where, sample=True)
            bench.quietly(peer.seed(old, place))
            out = where.target(new.suffix)
            if peer.updates_target:
                copy(old, out)
            with where.origin.serving(peer, place) as server:
                sampler = Sampler(server.process)
                sampler.start()
                task = Task(new.stem, server.url, out, old, Mode.SEED)
                done = bench.measure(
                    "vm: pull, seed", peer, peer.pull(task, place), where, sample=True
                )
                sampler.stop()
            if done:
                bench.sheet.add("vm: pull, seed", peer.name, server_memory=sampler.memory)
            where.clear(place)
