"""Memory that programs keep, measured from outside: a process of its own frees much of it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from casync.limits import MIB

FREE_MUCH = """
import sys
from casync.cutting.process_memory import keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "keep":
    keep_freed_memory()
before = resident()
blocks = [bytes([1]) * 10_000 for _ in range(4_000)]
del blocks
print(resident() - before)
"""


def kept(how: str) -> int:
    """Bytes that a process still holds of 40 MB that it freed."""
    argv = [sys.executable, "-c", FREE_MUCH, how]
    return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems have no mallopt")
def test_freed_memory_is_kept() -> None:
    assert kept("give back") < 10 * MIB
    assert kept("keep") > 30 * MIB
