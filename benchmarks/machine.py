"""Facts about the machine and the programs, for the results."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]


def about(command: Path | None = None) -> dict[str, str]:
    """The machine, the system and this project's version.

    Args:
        command: The measured command of this project, if it is not of this tree.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} CPUs",
        "memory": f"{_meminfo('MemTotal') / 2**30:.0f} GiB",
        "system": f"{_release()}, Linux {platform.release().split('-')[0]}",
        "load at the start": " ".join(f"{value:.1f}" for value in os.getloadavg()),
        "python": platform.python_version(),
        "libraries": _libraries(),
        "commit": commit(command.parent if command else ROOT),
    }


def commit(folder: Path) -> str:
    """The commit of the tree around a folder, and whether the tree has changes."""
    done = subprocess.run(
        ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=10"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _libraries() -> str:
    code = (
        "import importlib.metadata as m\n"
        "print(', '.join(f'{n} {m.version(n)}' for n in"
        " ('fastcdc', 'blake3', 'lmdb', 'zstandard', 'httpx', 'uvicorn')))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _release() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
