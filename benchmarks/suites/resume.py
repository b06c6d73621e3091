"""A pull that is killed halfway, and run again."""

from __future__ import annotations

import shutil

from benchmarks.bench import Bench
from benchmarks.corpora.registry import CORPORA
from benchmarks.measure import run
from benchmarks.peers.bounds import Curl
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.contender import Contender, Task
from benchmarks.peers.desync import Desync
from benchmarks.peers.ours import Ours
from benchmarks.peers.rsync import Rsync
from benchmarks.scene import Scene
from benchmarks.servers import Counts, relayed

GIB = 1 << 30
PEERS = (Ours, CasyncC, Desync, Rsync, Curl)


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "resume: a pull into an empty folder is killed (SIGKILL) after half the time that it takes,"
        " and given again; all through a relay that counts bytes and lets 1000 Mbit/s through"
    )
    corpus = CORPORA["vm"]
    folder = corpus.ready(bench.choices.scale)
    with bench.scene(4 * GIB) as where:
        (source,) = where.bring(folder / corpus.files[1])
        for peer in bench.some(*PEERS):
            place = where.place(peer)
            bench.quietly(peer.setup(place))
            if command := peer.prepare(source, place):
                run(command)
            whole = pull(bench, where, peer, "vm: whole", None)
            if whole is None:
                continue
            seconds, _ = whole
            pull(bench, where, peer, "vm: killed", seconds / 2)
            pull(bench, where, peer, "vm: again", None, keep=True)
            where.clear(place)


def pull(
    bench: Bench,
    where: Scene,
    peer: Contender,
    case: str,
    kill_after: float | None,
    *,
    keep: bool = False,
) -> tuple[float, Counts] | None:
    """One pull through the relay, from nothing or from what the last one left behind."""
    place = where.place_of(peer)
    out = where.out / "result.img"
    if not keep:
        out = where.target(".img")
        if isinstance(peer, Ours):
            shutil.rmtree(peer.receiver(place), ignore_errors=True)
    with (
        where.origin.serving(peer, place) as server,
        relayed(server.url, mbit=1000.0) as (url, counts),
    ):
        command = peer.resume(Task("updated", url, out), place)
        assert command is not None
        if kill_after is None:
            done = bench.measure(case, peer, command, where)
        else:
            done = run(command, kill_after=kill_after)
    if done is None:
        return None
    bench.sheet.add(case, peer.name, received=counts.received, sent=counts.sent)
    print(f"  {case}: {peer.name}: {counts}", flush=True)
    return done.seconds, counts
