"""A process that has just called obstore ends well: threads of the library abort it otherwise."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

_CALLS_AND_ENDS = """
import obstore
from obstore.store import MemoryStore
from casync.remote.sources.obstore_calls import ObstoreCalls

store, calls = MemoryStore(), ObstoreCalls()
calls.wait(lambda: obstore.put_async(store, "key", b"x" * (1 << 20)))
for _ in range(20):
    calls.wait(lambda: obstore.get_async(store, "key"))
"""


def test_processes_that_have_just_called_the_library_end_well() -> None:
    """Twenty, four at a time: each would abort now and then."""

    def status(_: int) -> int:
        return subprocess.run([sys.executable, "-c", _CALLS_AND_ENDS], check=False).returncode

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(status, range(20))) == {0}
