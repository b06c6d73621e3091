"""A small file system in a mount namespace that ends with the test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from tests.crash.tools import tool
from tests.support.rights import needs_root

__all__ = ["KINDS", "TinyDisk"]

_SETUP: Final = {
    "tmpfs": 'mount -t tmpfs -o "size=$2,mode=700" none "$1"',
    "ext4": 'truncate -s "$2" "$1.img" && mkfs.ext4 -q -F -m 0 "$1.img" && '
    'mount -o loop "$1.img" "$1"',
}

KINDS: Final = ["tmpfs", pytest.param("ext4", marks=needs_root)]
"""Any user may mount tmpfs in a namespace; the other kind needs a loop device."""


class TinyDisk:
    """While the block runs.

    Attributes:
        path: Where it is mounted, for commands that run inside.
        inside: What goes before a command line, so that it sees the disk.
    """

    def __init__(self, folder: Path, size: int, kind: str = "tmpfs") -> None:
        self.path = folder / "disk"
        self.path.mkdir()
        rights = ["-m"] if kind == "ext4" else ["-U", "-r", "-m"]
        script = f'{_SETUP[kind]} && echo mounted && read -r forever; umount "$1"'
        tool("mount")
        if kind == "ext4":
            tool("mkfs.ext4")
        # It ends when our end of its stdin closes, even if we are killed.
        self._holder = subprocess.Popen(
            [tool("unshare"), *rights, "sh", "-c", script, "sh", str(self.path), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"mounted\n":
            self._close()
            raise AssertionError(f"cannot mount {kind}")
        enter = ["-m"] if kind == "ext4" else ["-U", "-m", "--preserve-credentials"]
        self.inside = [tool("nsenter"), "-t", str(self._holder.pid), *enter]

    def sh(self, script: str, *arguments: str | Path) -> bytes:
        """Runs a shell script inside, in the disk's folder; returns what it prints."""
        words = [*self.inside, "sh", "-ec", f'cd "$0"; {script}', str(self.path)]
        return subprocess.run(
            [*words, *map(str, arguments)], capture_output=True, check=True
        ).stdout

    def fill(self, leave: int) -> None:
        """Writes a file `ballast` that leaves about the given number of bytes free."""
        free = int(self.sh("df -B1 --output=avail . | tail -1"))
        if free > leave:
            # The last blocks may be unavailable: file systems reserve some.
            script = 'head -c "$1" /dev/zero > ballast 2> /dev/null || true; sync ballast'
            self.sh(script, str(free - leave))

    def empty(self) -> None:
        """Removes the ballast."""
        self.sh("rm -f ballast; sync .")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()
