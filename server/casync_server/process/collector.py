"""A process that runs one garbage collection of a store and its namespaces.

The server starts it as `python -m casync_server.process.collector` and sends a `CollectorOrder` to
its stdin. Of several servers over one bucket, one collects at a time, and once in an interval.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from casync.errors import CasyncError, LockedError, NoStoreError
from casync.escape import escape
from casync.ops.upkeep.gc import collect
from casync.sizes import format_count, format_size
from casync_server.access.log_sink import LogSink, notes, to_stderr
from casync_server.process.worker_order import CollectorOrder, decode_line
from casync_server.settings import ServerSettings
from casync_server.stores import ServedStores, stores_of

__all__ = ["main"]

_SHARE: Final = 0.9
"""Share of the interval for which a collection of another host counts: timers are not exact."""


def main() -> int:
    """Collects the store and each namespace, and logs the results; returns an exit status."""
    order = decode_line(sys.stdin.buffer.readline(), CollectorOrder)
    stores = stores_of(order.options, ServerSettings.model_validate(order.settings))
    note = notes(quiet=order.options.quiet)
    recent = (order.options.gc_interval or 0.0) * _SHARE if stores.shared else 0.0
    status = _collect(stores, "", recent, note)
    try:
        namespaces = list(stores.namespaces())
    except CasyncError as error:
        to_stderr(f"cannot collect namespaces: {escape(error.message)}")
        return 1
    for namespace in namespaces:
        status |= _collect(stores, namespace, recent, note)
    return status


def _collect(stores: ServedStores, namespace: str, recent: float, note: LogSink) -> int:
    """Collects one store, unless another host has done so a moment ago or is at it."""
    place = f" in {namespace}" if namespace else ""
    try:
        with stores.open_for_work(namespace) as store:
            last = store.usage(objects=False).collections.last
            if abs(time.time() - last) < recent:
                note(f"did not collect{place}: another host has, {time.time() - last:.0f} s ago")
                return 0
            done = collect(store)
    except LockedError as error:
        if not stores.shared:
            to_stderr(f"cannot collect{place}: {escape(error.message)}")
            return 1
        note(f"did not collect{place}: {escape(error.message)}")
        return 0
    except CasyncError as error:
        if isinstance(error, NoStoreError) and stores.shared and namespace:
            return 0  # nothing has made it yet
        to_stderr(f"cannot collect{place}: {escape(error.message)}")
        return 1
    note(
        f"collected {format_count(done.objects, 'object')}, {format_size(done.stored)}{place}, in "
        f"{done.seconds:.1f} s; "
        f"{format_count(done.roots, 'manifest')} kept"
    )
    if done.held:
        to_stderr(
            f"kept {format_count(done.held, 'object')}, {format_size(done.held_stored)}{place}, "
            f"for {format_count(len(done.pushes), 'open push')}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
