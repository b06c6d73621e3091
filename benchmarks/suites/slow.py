"""A link of 100 Mbit/s with a round trip of 40 ms."""

from __future__ import annotations

import shutil
from dataclasses import replace

from benchmarks.bench import Bench
from benchmarks.corpora.registry import CORPORA
from benchmarks.measure import run
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.desync import Desync
from benchmarks.peers.ours import Ours
from benchmarks.peers.rsync import Rsync
from benchmarks.scene import Scene, copy
from benchmarks.servers import relayed
from benchmarks.sheet import OURS
from benchmarks.suites.transfer import publish

GIB = 1 << 30
MBIT = 100.0
RTT_MS = 40.0
LIMIT_SECONDS = 120.0
PEERS = (Ours, Rsync, Desync, CasyncC)


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        f"slow: through a relay in user space, {MBIT:.0f} Mbit/s each way and {RTT_MS:.0f} ms; it"
        " shares the bandwidth among connections, and models neither slow start nor loss"
    )
    corpus = CORPORA["vm"]
    for number, pair in enumerate(corpus.of(corpus.ready(bench.choices.scale))[:2]):
        with bench.scene(4 * GIB) as where:
            old, new = where.bring(pair.old, pair.new)
            wanted = Task(new.stem, "", old, old)
            for peer in bench.some(*(PEERS if number == 0 else (Ours,))):
                place = publish(bench, where, peer, old, new)
                for name, variant in variants(peer).items():
                    for _ in range(bench.choices.rounds if variant is bench.ours else 1):
                        pull(bench, where, variant, place, pair.label, wanted, name)
                where.clear(place)


def variants(peer: Contender) -> dict[str, Contender]:
    """The pull commands of a contender, by name: ours with each kind of delta."""
    if not isinstance(peer, Ours) or peer.delta == "none":
        return {peer.name: peer}
    return {
        peer.name: peer,
        f"{OURS}, plain": peer.with_delta("never"),
        f"{OURS}, deltas": peer.with_delta("always"),
    }


def pull(
    bench: Bench,
    where: Scene,
    variant: Contender,
    place: Place,
    label: str,
    wanted: Task,
    name: str,
) -> None:
    """Pulls over the slow link."""
    out = where.target(wanted.out.suffix)
    assert wanted.old is not None
    if isinstance(variant, Ours):
        shutil.rmtree(variant.receiver(place), ignore_errors=True)
        with where.origin.serving(variant, place) as server:
            held = Task(wanted.old.stem, server.url, out.with_name("held"))
            run(variant.pull(held, place))
    elif variant.updates_target:
        copy(wanted.old, out)
    seed = None if isinstance(variant, Ours) else wanted.old
    with (
        where.origin.serving(variant, place) as server,
        relayed(server.url, MBIT, RTT_MS) as (url, counts),
    ):
        command = variant.pull(Task(wanted.stem, url, out, seed, Mode.SEED), place)
        assert command is not None
        command = replace(command, limit=LIMIT_SECONDS)
        done = bench.measure(label, variant, command, where, name=name)
    if done:
        flowed = max(counts.received, counts.sent)
        least = flowed / (MBIT * 1e6 / 8) + 5 * RTT_MS / 1000
        bench.sheet.add(
            label,
            name,
            received=counts.received,
            sent=counts.sent,
            least_seconds=least,
        )
