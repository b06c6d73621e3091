"""Prepare: new, known and updated data, against all contenders that store chunks."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import Corpus
from benchmarks.peers.borg import Borg
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.contender import Contender, Place
from benchmarks.peers.desync import Desync
from benchmarks.peers.hf_xet import HfXet
from benchmarks.peers.ours import Ours
from benchmarks.peers.restic import Restic
from benchmarks.peers.zsync import Zsync
from benchmarks.scene import Scene, used_bytes

GIB = 1 << 30
QUICK = (Ours, CasyncC, Borg, Desync)
"""Contenders for all corpora; the others take only the first."""

SETTLED_SECONDS = 2.3
"""A file that changed less than two seconds ago is not cached."""


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "prepare: files and stores on tmpfs; each round in a store of its own, removed after it"
    )
    everybody = [peer for peer in bench.peers if not isinstance(peer, Zsync)]
    for corpus in bench.choices.corpora:
        folder = corpus.ready(bench.choices.scale)
        full = corpus.name == "vm"
        with bench.scene(4 * GIB) as where:
            files = where.bring(*(folder / name for name in corpus.files[:2]))
            peers = everybody if full else bench.some(*QUICK)
            for number, peer in bench.rounds(peers, 0 if full else 1):
                # No target uses the updated version; for others one round is enough.
                updates = not isinstance(peer, HfXet) and not peer.slow
                updates = updates and (number == 0 or isinstance(peer, Ours))
                one_round(bench, where, corpus, files, peer, updates=updates)


def one_round(
    bench: Bench,
    where: Scene,
    corpus: Corpus,
    files: list[Path],
    peer: Contender,
    *,
    updates: bool,
) -> None:
    """One contender prepares the old version twice, and then perhaps the new one."""
    old, new = files
    place = where.place(peer)
    bench.quietly(peer.setup(place))
    take(bench, where, f"{corpus.name}: new", peer, old, place)
    if corpus.name == "vm" and not isinstance(peer, HfXet) and not peer.slow:
        os.utime(old)
        time.sleep(SETTLED_SECONDS)
        take(bench, where, f"{corpus.name}: known, touched", peer, old, place)
        if peer is bench.ours or isinstance(peer, Borg | Restic):
            take(bench, where, f"{corpus.name}: known, untouched", peer, old, place)
    if updates:
        take(bench, where, f"{corpus.name}: updated", peer, new, place)
    where.clear(place)


def take(
    bench: Bench, where: Scene, case: str, peer: Contender, source: Path, place: Place
) -> None:
    """One prepare, with the stored size afterwards."""
    bench.measure(
        case,
        peer,
        peer.prepare(source, place),
        where,
        after=lambda _: {"stored": used_bytes(peer.stored(place))},
    )
