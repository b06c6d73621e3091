"""Proofs that are under way: a large one takes longer than a client waits for an answer.

A request goes on with its proof for a while and is then told to come again; the proof waits for it
in memory. One that is forgotten is begun anew. Must not know what becomes of a manifest that is
proved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.ids import ManifestId
from casync.ops.push.proof import Proof
from casync.store.writable import WritableStore

__all__ = ["Proofs", "Proving"]

_KEPT: Final = 16
"""Proofs that wait. One remembers its nodes: about 1.5 MiB for each GiB of content."""


class Proving(NamedTuple):
    """A proof under way, and the push that keeps what it has seen.

    Attributes:
        push: The push.
        proof: The proof.
        steps: The rest of it.
        done: Whether there is no rest.
    """

    push: bytes
    proof: Proof
    steps: Iterator[None]
    done: bool = False


class Proofs:
    """The proofs of one worker. Safe for threads.

    Args:
        store: Where everything must be.
        seconds: How long a request may go on with one.
    """

    def __init__(self, store: WritableStore, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: dict[tuple[bytes, ManifestId], Proving] = {}

    def go_on(self, push: bytes, manifest: ManifestId) -> Proving:
        """Goes on with a proof, or begins it.

        Args:
            push: The client's push; empty: one is opened for the proof.
            manifest: What to prove.

        Raises:
            CasyncError: As `Proof.steps`; the push has ended.
        """
        key = push, manifest
        with self._lock:
            proving = self._waiting.pop(key, None)
        proving = proving or self._begin(push, manifest)
        try:
            if self._step(proving):
                return proving._replace(done=True)
        except BaseException:
            if not push:  # the push of a proof that failed keeps nothing that anybody wants
                self._store.pushes.end(proving.push)
            raise
        with self._lock:
            self._waiting[key] = proving
            while len(self._waiting) > _KEPT:
                del self._waiting[next(iter(self._waiting))]
        return proving

    def _step(self, proving: Proving) -> bool:
        """Goes on for as long as a request may; whether the proof came to its end."""
        deadline = time.monotonic() + self._seconds
        return all(time.monotonic() < deadline for _ in proving.steps)

    def _begin(self, push: bytes, manifest: ManifestId) -> Proving:
        pushes = self._store.pushes
        push = push or pushes.begin()
        proof = Proof(manifest, self._store, lambda kind, ids: pushes.promise(push, kind, ids))
        return Proving(push, proof, proof.steps())
