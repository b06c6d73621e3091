"""Objects that are here already, compared with their source many at a time.

A second run of a job is mostly this. What cannot be told so is asked for alone, as any object.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from casync.errors import CasyncError, StoppedError
from casync.jobs.origin import Origin
from casync.ops.download.conditions import condition, is_same, own_origin
from casync.ops.download.fetch import Fetch
from casync.ops.download.hosts import HostWatch
from casync.ops.download.ledger import Ledger
from casync.ops.download.throttle import Throttle
from casync.ops.download.writing import SharedWriter
from casync.remote.sources.base import AsksMany, RemoteSource

__all__ = ["COMPARED_TOGETHER", "Unchanged"]

COMPARED_TOGETHER: Final = 32
"""Objects that one thread compares at once."""


class Unchanged(NamedTuple):
    """Skips objects that are unchanged. Safe for threads.

    Attributes:
        writer: The writer of the job.
        ledger: What it has done.
        throttle: Its bound on bytes.
        hosts: Is told of hosts that answer.
    """

    writer: SharedWriter
    ledger: Ledger
    throttle: Throttle
    hosts: HostWatch

    def may_hold(self, fetch: Fetch) -> bool:
        """Whether an object may prove to be unchanged together with others."""
        if fetch.compared or not fetch.item.name:
            return False
        origin = own_origin(fetch)
        return origin is not None and (_is_listed_so(fetch, origin) or _asked(fetch, origin))

    def skip(self, some: Sequence[Fetch]) -> list[bool]:
        """Skips those of some objects that are unchanged; returns which they are.

        Raises:
            StoppedError: The job was stopped.
        """
        skipped: dict[int, Origin] = {}
        asked: dict[RemoteSource, list[tuple[Fetch, Origin]]] = {}
        for fetch in some:
            fetch.compared = True
            origin = own_origin(fetch)
            assert origin is not None
            assert fetch.located is not None
            if _is_listed_so(fetch, origin):
                skipped[fetch.index] = origin
            else:
                asked.setdefault(fetch.located.source, []).append((fetch, origin))
        for source, known in asked.items():
            skipped.update(self._ask(source, known))
        with self.writer.turn():
            for index, origin in skipped.items():
                self.ledger.skip(index, origin.size)
        return [fetch.index in skipped for fetch in some]

    def _ask(
        self, source: RemoteSource, known: Sequence[tuple[Fetch, Origin]]
    ) -> dict[int, Origin]:
        self.throttle.take()
        assert isinstance(source, AsksMany)
        try:
            found = source.unchanged([(origin.key, origin.validators) for _, origin in known])
        except StoppedError:
            raise
        except CasyncError:  # what is asked for alone fails with it
            return {}
        if any(found):
            self.hosts.answered(known[0][0].host)
        pairs = zip(known, found, strict=True)
        return {fetch.index: origin for (fetch, origin), is_same in pairs if is_same}


def _is_listed_so(fetch: Fetch, origin: Origin) -> bool:
    return is_same(origin, fetch.item.validators, fetch.item.size)


def _asked(fetch: Fetch, origin: Origin) -> bool:
    """Whether the source of an object tells of many at once whether they have their ETags."""
    assert fetch.located is not None
    has_condition = condition(origin, fetch.item) is not None and origin.validators.strong_etag
    return bool(has_condition) and _asks_many(type(fetch.located.source))


@cache
def _asks_many(kind: type[RemoteSource]) -> bool:
    return issubclass(kind, AsksMany)
