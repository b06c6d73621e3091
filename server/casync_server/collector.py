"""A process that collects a store once: `python -m casync_server.collector STORE`."""

from __future__ import annotations

import sys
from pathlib import Path

from casync.errors import CasyncError
from casync.escape import escape
from casync.ops.gc import collect
from casync.store.lmdb import LmdbStore
from casync_server.access_log import to_stderr

__all__ = ["main"]


def main(path: Path) -> int:
    """Collects once, and says how it went; returns an exit status."""
    try:
        with LmdbStore.open(path) as store:
            done = collect(store)
    except CasyncError as error:
        to_stderr(f"cannot collect: {escape(error.message)}")
        return 1
    to_stderr(
        f"collected {done.objects} objects of {done.stored} bytes in {done.seconds:.1f} s; "
        f"{done.roots} manifests stay"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
