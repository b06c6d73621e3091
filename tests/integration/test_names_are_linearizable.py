"""A name that many clients set over HTTP behaves like one linearizable register.

Writers read the name, move it on from the version that they saw, or set it whatever it was. Each
says when its request began and ended, and a search looks for an order of all of them that keeps
to these times and in which every answer is the right one. The search is tried on histories that
have no such order, too.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from casync.store.lmdb.store import LmdbStore
from tests.support.serving import READY_SECONDS, put_file, serving

NAME = "/v1/names/disk"
WRITERS, TURNS = 6, 15


class State(NamedTuple):
    """The manifest of the name; version 0 and none before it is set."""

    version: int
    manifest: str


class Act(NamedTuple):
    """A request and its answer.

    Attributes:
        began: Seconds, before the request was sent.
        ended: The same, after the answer.
        manifest: What the name was to point to; empty for a reader.
        expected: The version that it was to be moved on from; None for whatever it was.
        answer: The version in the server's answer; None for a lost race.
    """

    began: float
    ended: float
    manifest: str
    expected: int | None
    answer: State | None

    def on(self, state: State) -> State | None:
        """What the name is afterwards, if the answer is right where it was `state`."""
        if not self.manifest:
            return state if self.answer == state else None
        if self.expected not in (None, state.version):
            return state if self.answer is None else None
        moved = State(state.version + 1, self.manifest)
        return moved if self.answer == moved else None


def linearizable(acts: list[Act]) -> bool:
    """Whether there is an order of `acts` in which all answers are right (Wing and Gong, 1993)."""
    acts = sorted(acts)
    seen: set[tuple[frozenset[int], State]] = set()
    todo = [(frozenset(range(len(acts))), State(0, ""))]
    while todo:
        left, state = todo.pop()
        if not left:
            return True
        if (left, state) in seen:
            continue
        seen.add((left, state))
        first_end = min(acts[number].ended for number in left)
        for number in left:
            if acts[number].began <= first_end:  # no other act ended before it began
                after = acts[number].on(state)
                if after is not None:
                    todo.append((left - {number}, after))
    return False


def act(client: httpx.Client, manifest: str, expected: int | None) -> Act:
    headers = {} if expected is None else {"if-match": f'"{expected}"'}
    if expected == 0:
        headers = {"if-none-match": "*"}
    began = time.monotonic()
    if manifest:
        answer = client.put(NAME, json={"manifest": manifest}, headers=headers)
    else:
        answer = client.get(NAME)
    ended = time.monotonic()
    if answer.status_code == 404 and not manifest:
        return Act(began, ended, "", None, State(0, ""))
    if answer.status_code == 412 and expected is not None:
        return Act(began, ended, manifest, expected, None)
    assert answer.status_code == 200, answer.text
    item = answer.json()
    return Act(began, ended, manifest, expected, State(item["version"], item["manifest"]))


def write(url: str, number: int, manifests: list[str], start: threading.Barrier) -> list[Act]:
    """One writer's turns, each with a manifest of its own, on connections of its own."""
    chance, acts = random.Random(number), []
    start.wait(READY_SECONDS)
    for manifest in manifests:
        with httpx.Client(base_url=url, timeout=READY_SECONDS) as client:  # any of the workers
            acts.append(act(client, "", None))
            found = acts[-1].answer
            assert found is not None
            blind = chance.random() < 0.2
            acts.append(act(client, manifest, None if blind else found.version))
    return acts


def test_a_name_is_a_linearizable_register(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        made = [put_file(store, b"%d" % n).hex() for n in range(WRITERS * TURNS)]
    start = threading.Barrier(WRITERS)
    with serving(path, writable=True, workers=2) as server, ThreadPoolExecutor(WRITERS) as pool:
        running = [
            pool.submit(write, server.url, number, made[number::WRITERS], start)
            for number in range(WRITERS)
        ]
        acts = [act for each in running for act in each.result()]
        history = httpx.get(f"{server.url}{NAME}?history").json()["versions"]
    assert len(acts) == 2 * WRITERS * TURNS
    won = [act for act in acts if act.manifest and act.answer is not None]
    lost = [act for act in acts if act.answer is None]
    assert won
    assert lost, "no move lost a race"
    assert linearizable(acts)
    assert [(item["version"], item["manifest"]) for item in history] == sorted(
        act.answer for act in won if act.answer is not None
    )


ONE, TWO = State(1, "a"), State(2, "b")


@pytest.mark.parametrize(
    "acts",
    [
        [Act(0, 1, "a", 0, ONE), Act(2, 3, "", None, State(0, ""))],  # an old value
        [Act(0, 1, "a", 0, ONE), Act(0, 1, "b", 0, State(1, "b"))],  # both won
        [Act(0, 1, "a", 0, ONE), Act(2, 3, "b", 1, None)],  # lost without a winner
        [Act(0, 1, "", None, ONE), Act(2, 3, "a", 0, ONE)],  # read before it was written
        [  # back in time
            Act(0, 9, "a", 0, ONE),
            Act(0, 9, "b", 1, TWO),
            Act(1, 2, "", None, TWO),
            Act(3, 4, "", None, ONE),
        ],
    ],
)
def test_the_search_rejects_histories_without_an_order(acts: list[Act]) -> None:
    assert not linearizable(acts)


def test_the_search_accepts_histories_with_an_order() -> None:
    assert linearizable(
        [
            Act(0, 9, "a", 0, ONE),
            Act(0, 9, "b", 1, TWO),
            Act(1, 2, "", None, State(0, "")),
            Act(3, 4, "", None, ONE),
            Act(5, 8, "b", 0, None),
        ]
    )
