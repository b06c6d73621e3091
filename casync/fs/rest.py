"""Whether a file rests: whether the next write to it is certain to change its times."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from casync.fs.filesystem import Coherence, file_system
from casync.fs.identity import FileIdentity, identity_of

__all__ = ["comes_to_rest"]

_TICK_NS: Final = 10_000_000
"""The longest tick of the clock that a kernel stamps files with: HZ is 100 or more."""

_CLOCK_REALTIME_COARSE: Final = 5
_TRIES: Final = 5


def comes_to_rest(path: Path, identity: FileIdentity) -> bool:
    """Waits for a file that was just written to rest, some 20 ms.

    Args:
        path: The file, whose bytes are synced.
        identity: Its identity after the last write.

    Returns:
        Whether it rests. Not if it changes, or its file system is of a network, or keeps times in
        coarser steps than a tick, which a time that is a multiple of them gives away.
    """
    youngest = max(identity.mtime_ns, identity.ctime_ns)
    if not identity.ctime_ns % _TICK_NS:
        return False
    try:
        if file_system(path).coherence is Coherence.NETWORK:
            return False
        for _ in range(_TRIES):
            if time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) > youngest + 2 * _TICK_NS:
                return identity_of(path.stat()) == identity
            time.sleep(_TICK_NS / 1e9)
    except OSError:
        pass
    return False
