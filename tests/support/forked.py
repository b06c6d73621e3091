"""Runs Python in a process with other rights or another view of the file system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.rights import ROOT

__all__ = ["in_namespace", "run_python", "start_python", "without_rights"]

_PROLOGUE: Final = """
import os, sys
from pathlib import Path
from casync.errors import CasyncError
from casync.fs.target.place import check_space, inspect_place
from casync.fs.target.base import open_sink
path = Path(sys.argv[1])
def told(work):
    try:
        print(work())
    except CasyncError as error:
        print(type(error).__name__, error)
"""


def without_rights() -> list[str]:
    """A prefix that drops the capabilities of root, so that permission bits apply."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if ROOT else []


def in_namespace(setup: str) -> list[str]:
    """A prefix that runs a shell script in a namespace; our first argument is its $target."""
    # The words that follow are: python -c CODE ARGUMENT...
    return ["unshare", "-Urm", "sh", "-ec", f'target=$4; {setup}; exec "$@"', "sh"]


def start_python(
    code: str, *arguments: str | Path, prefix: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Starts Python with pipes."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", _PROLOGUE + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def run_python(
    code: str, *arguments: str | Path, prefix: Sequence[str] = (), may_be_killed: bool = False
) -> str:
    """Runs Python to its end; returns what it printed."""
    process = start_python(code, *arguments, prefix=prefix)
    out, _ = process.communicate(timeout=120)
    killed = may_be_killed and process.returncode == -signal.SIGKILL
    assert killed or process.returncode == 0, process.returncode
    return out
