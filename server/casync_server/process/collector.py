"""A process that runs one garbage collection of a store and its namespaces.

Started as `python -m casync_server.process.collector STORE [--quiet]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from casync.errors import CasyncError
from casync.escape import escape
from casync.ops.upkeep.gc import collect
from casync.sizes import format_count, format_size
from casync.store.lmdb.namespaces import each_namespace, open_namespace
from casync.store.lmdb.store import LmdbStore
from casync_server.access.access_log import LogSink, notes, to_stderr

__all__ = ["main"]


def main(path: Path, *, quiet: bool) -> int:
    """Collects the store and each namespace, and logs the results; returns an exit status."""
    note = notes(quiet=quiet)
    status = _collect(lambda: LmdbStore.open(path), "", note)
    try:
        namespaces = list(each_namespace(path))
    except CasyncError as error:
        to_stderr(f"cannot collect namespaces: {escape(error.message)}")
        return 1
    for namespace in namespaces:
        status |= _collect(partial(open_namespace, path, namespace), f" in {namespace}", note)
    return status


def _collect(open_store: Callable[[], LmdbStore], place: str, note: LogSink) -> int:
    try:
        with open_store() as store:
            done = collect(store)
    except CasyncError as error:
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
    sys.exit(main(Path(sys.argv[1]), quiet="--quiet" in sys.argv[2:]))
