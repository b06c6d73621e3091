"""Runs a download job over HTTP into a store on disk, as a process of its own that may be killed.

Arguments: the store, the source, the number of connections.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from casync.jobs.spec import JobSpec, SourceKind
from casync.ops.download.options import RunOptions
from casync.ops.download.run import run_job, start_or_continue
from casync.remote.sources.item_sources import ItemSources
from casync.remote.sources.options import SourceOptions
from casync.store.lmdb.store import LmdbStore
from tests.support.downloading import PARAMS


def main() -> None:
    """Starts the job or continues it."""
    path, source, conns = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    spec = JobSpec(source, "ds/", SourceKind.LISTING, max_conns=conns, chunker=PARAMS)
    options = RunOptions(now=time.time, random=random.random)
    with LmdbStore.open(path, create=True, map_bytes=2**31) as store:
        claim = start_or_continue(store, spec, time.time())
        with claim, ItemSources(spec, SourceOptions()) as sources:
            run_job(store, claim, sources, options)


if __name__ == "__main__":
    main()
