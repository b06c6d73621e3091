"""Proofs of pushed manifests that span several requests.

A large proof takes longer than a client waits for an answer. A request advances its proof for a
while, then the client is asked to repeat it; meanwhile the proof stays in memory. A dropped proof
starts again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.ids import ManifestId
from casync.ops.push.proof import Proof
from casync.store.writable import WritableStore
from casync_server.limits.request_work import is_wanted

__all__ = ["Proofs", "Proving"]

_KEPT: Final = 16
"""Unfinished proofs that are kept. Each takes about 1.5 MiB per GiB of content, for its nodes."""


class Proving(NamedTuple):
    """A proof in progress, and the push that protects the objects that it has seen.

    Attributes:
        push: The push.
        proof: The proof.
        steps: The remaining steps.
        done: Whether the proof has ended.
    """

    push: bytes
    proof: Proof
    steps: Iterator[None]
    done: bool = False


class Proofs:
    """The proofs of one worker. Thread-safe.

    Args:
        store: The store that must hold everything.
        seconds: Seconds that one request may spend on a proof.
    """

    def __init__(self, store: WritableStore, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: dict[tuple[bytes, ManifestId], Proving] = {}

    def go_on(self, push: bytes, manifest: ManifestId) -> Proving:
        """Continues a proof, or begins it.

        Args:
            push: The client's push; if empty, one is opened for the proof.
            manifest: The manifest to prove.

        Raises:
            CasyncError: As `Proof.steps`, or the push has ended.
        """
        key = push, manifest
        with self._lock:
            proving = self._waiting.pop(key, None)
        proving = proving or self._begin(push, manifest)
        try:
            if self._step(proving):
                return proving._replace(done=True)
        except BaseException:
            if not push:  # this push protects nothing but a failed proof
                self._store.pushes.end(proving.push)
            raise
        with self._lock:
            self._waiting[key] = proving
            while len(self._waiting) > _KEPT:
                del self._waiting[next(iter(self._waiting))]
        return proving

    def _step(self, proving: Proving) -> bool:
        """Advances a proof within the time of one request. Returns whether it has ended."""
        deadline = time.monotonic() + self._seconds
        return all(time.monotonic() < deadline and is_wanted() for _ in proving.steps)

    def _begin(self, push: bytes, manifest: ManifestId) -> Proving:
        pushes = self._store.pushes
        push = push or pushes.begin()
        proof = Proof(manifest, self._store, lambda kind, ids: pushes.promise(push, kind, ids))
        return Proving(push, proof, proof.steps())
