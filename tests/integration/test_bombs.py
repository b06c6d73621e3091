"""Trees and files with claims beyond the memory, disk and time of any machine.

Each is pulled by a process that may use a gibibyte of addresses and some seconds of CPU.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.bombs import CASES
from tests.support.program import ROOT, TIMEOUT

_CPU_SECONDS = 40
_ADDRESS_BYTES = 1 << 30

ENDS = {
    "sparse": "no-space",
    "sparse-in-tree": "no-space",
    "exploding": "no-space",
    "no-node": "no-space",
}


@pytest.mark.parametrize("case", CASES)
def test_claims_end_at_limits(case: str, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, _ADDRESS_BYTES))

    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.bombs", case, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
        preexec_fn=limit,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    ended, *left = done.stdout.split()
    assert ended == ENDS.get(case, "malformed")
    assert left in ([], ["tree"]), "nothing was written"
