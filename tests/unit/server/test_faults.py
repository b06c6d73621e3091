"""A dead worker leaves the store that its faulting thread was using."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from casync_server.faults import culprit, marks_file

_CHILD = """
import ctypes, sys, threading
from casync_server.faults import StoreMarks
marks = StoreMarks(int(sys.argv[1]))
ours, theirs, default = map(marks.watcher, ("ours", "theirs", ""))
began = threading.Event()

def reads() -> None:
    theirs(True)
    began.set()
    threading.Event().wait()

def dies() -> None:
    ours(True)
    ours(False)
    EXTRA
    ctypes.CDLL(None).abort()

threading.Thread(target=reads, daemon=True).start()
began.wait()
thread = threading.Thread(target=dies)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("extra", "expected"), [("ours(True)", "ours"), ("default(True)", ""), ("pass", None)]
)
def test_the_store_of_the_faulting_thread_is_found(extra: str, expected: str | None) -> None:
    fd = marks_file()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD.replace("EXTRA", extra), str(fd)],
            pass_fds=[fd],
            check=False,
        )
        assert done.returncode == -6
        assert culprit(fd) == expected
    finally:
        os.close(fd)


def test_a_worker_that_was_killed_leaves_none() -> None:
    fd = marks_file()
    assert culprit(fd) is None
    os.close(fd)
