"""The chunks of a content in order, as runs of equal ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from operator import itemgetter
from typing import Final

from msgspec.structs import replace

from casync.ids import NodeId
from casync.objects.node import Content, Node, Record, Run, check_root

__all__ = ["FindNode", "group_records", "runs", "uniform_run"]

_length_of: Final[Callable[[Record], int]] = itemgetter(1)

FindNode = Callable[[NodeId, int, int], Node]
"""Returns the node with an id, a level and a length."""


def runs(content: Content, find: FindNode, start: int = 0) -> Iterator[tuple[int, Run]]:
    """Walks the chunks of `content` in order, as (offset of the run, run of equal chunks).

    The first run covers byte `start`, and is trimmed to the chunks from there on. A node that holds
    one repeated record is walked once however often it repeats, so the walk of a 10 TB hole takes a
    handful of steps.

    Raises:
        MalformedError: As `check_root`.
        CasyncError: What `find` raises.
    """
    if content.length == 0 or start >= content.length:
        return
    root = Run(content.id, content.length, 1)
    yield from _walk(content.level, 0, root, find, start, is_root=True)


def _walk(
    level: int, offset: int, run: Run, find: FindNode, start: int, *, is_root: bool = False
) -> Iterator[tuple[int, Run]]:
    skipped = max(start - offset, 0) // run.length
    offset += skipped * run.length
    run = replace(run, times=run.times - skipped)
    if level == 0:
        yield offset, run
        return
    node = find(NodeId(run.id), level, run.length)
    if is_root:
        check_root(node)
    records = node.records
    uniform = uniform_run(level, run.times, records, find)
    if uniform is not None:
        skipped = max(start - offset, 0) // uniform.length
        left = replace(uniform, times=uniform.times - skipped)
        yield offset + skipped * uniform.length, left
        return
    for _ in range(run.times):
        rest = records
        if offset < start:
            ends = list(accumulate(map(_length_of, records)))
            passed = bisect_right(ends, start - offset)
            rest = records[passed:]
            offset += ends[passed - 1] if passed else 0
        for record_run in group_records(rest):
            end = offset + record_run.length * record_run.times
            if level == 1 and offset >= start:
                yield offset, record_run  # the common case: a generator per chunk is slower
            elif end > start:
                yield from _walk(level - 1, offset, record_run, find, start)
            offset = end


def uniform_run(level: int, times: int, records: list[Record], find: FindNode) -> Run | None:
    """The one run of chunks that `times` nodes of `records` form, or None if chunks differ."""
    while True:
        ident, length = records[0]
        if any(record != records[0] for record in records):
            return None
        times *= len(records)
        level -= 1
        if level == 0:
            return Run(ident, length, times)
        records = find(NodeId(ident), level, length).records


def group_records(records: list[Record]) -> Iterator[Run]:
    """Equal adjacent records as runs."""
    current, count = records[0], 0
    for record in records:
        if record == current:
            count += 1
        else:
            yield Run(current[0], current[1], count)
            current, count = record, 1
    yield Run(*current, count)
