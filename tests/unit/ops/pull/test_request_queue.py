"""A request asks for what several portions lack, so the number of requests follows the bytes."""

from __future__ import annotations

from casync.ids import ChunkId
from casync.limits import KIB, MAX_BATCH_IDS
from casync.ops.pull.request_queue import PortionTask, RequestQueue
from casync.planning.delta_groups import MissingRun
from casync.planning.portions import Portion
from casync.planning.windows import Place


def task(number: int, chunks: int, length: int = 16 * KIB) -> PortionTask:
    places = [Place(at, ChunkId(bytes(32)), length) for at in range(chunks)]
    return PortionTask(Portion(number, 0, 1, missing=[MissingRun(places, None, None)]))


def queue(*tasks: PortionTask, one_by_one: bool = False) -> RequestQueue:
    made = RequestQueue(one_by_one=one_by_one)
    for one in tasks:
        made.put(one)
    return made


def numbers(tasks: list[PortionTask]) -> list[int]:
    return [one.portion.number for one in tasks]


def test_what_is_there_is_requested_at_once_while_nothing_else_is() -> None:
    assert numbers(queue(task(0, 1), task(1, 2)).take()) == [0, 1]


def test_little_waits_for_more_while_another_request_is_on_its_way() -> None:
    waiting = queue(task(0, 1))
    assert numbers(waiting.take()) == [0]
    waiting.put(task(1, 5))
    assert waiting.take() == []
    waiting.put(task(2, 300))
    assert numbers(waiting.take()) == [1, 2]


def test_the_thread_that_is_done_takes_the_rest() -> None:
    waiting = queue(task(0, 1))
    waiting.take()
    waiting.put(task(1, 5))
    assert waiting.take() == []
    assert numbers(waiting.take(again=True)) == [1]
    assert waiting.take(again=True) == []


def test_a_request_has_no_more_ids_and_bytes_than_one_portion() -> None:
    many = queue(task(0, 600, KIB), task(1, MAX_BATCH_IDS - 600, KIB), task(2, 1, KIB))
    assert numbers(many.take()) == [0, 1]
    large = queue(*(task(number, 16, 64 * KIB) for number in range(20)))
    assert numbers(large.take()) == list(range(16))


def test_a_portion_that_lacks_nothing_waits_for_no_other() -> None:
    waiting = queue(task(0, 1))
    waiting.take()
    waiting.put(task(1, 0))
    assert numbers(waiting.take()) == [1]


def test_portions_of_a_stream_are_requested_one_by_one() -> None:
    waiting = queue(task(0, 1), task(1, 1), one_by_one=True)
    assert numbers(waiting.take()) == [0]


def test_a_closed_queue_gives_out_nothing() -> None:
    waiting = queue(task(0, 1))
    waiting.close()
    assert waiting.take() == []
