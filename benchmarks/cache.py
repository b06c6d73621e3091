"""The cache of corpora and installed peers, outside the source tree."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$CASYNC_BENCH_CACHE, or casync-bench in the user's cache folder."""
    if named := os.environ.get("CASYNC_BENCH_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "casync-bench")
