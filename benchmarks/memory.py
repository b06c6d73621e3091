"""Peak memory of a tree of processes: RssAnon and RssShmem of each, summed, sampled.

Pages of files, such as a program's code or an LMDB map on a disk, are the page cache's and are not
counted. A map of a file on tmpfs does count as RssShmem; memory is therefore measured with files
on a disk.
"""

from __future__ import annotations

import threading
from pathlib import Path

INTERVAL_SECONDS = 0.05


class Sampler(threading.Thread):
    """Samples a process and its descendants until it is stopped.

    Attributes:
        memory: The peak of their sum, in bytes.
        processes: The peak of their number.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.memory = 0
        self.processes = 0
        self._root = root
        self._stopped = threading.Event()

    def run(self) -> None:
        """Samples.

        A process counts from the second time on that it is seen: between fork and exec it has the
        memory of its parent, which is not there twice.
        """
        seen = {self._root}
        while not self._stopped.wait(INTERVAL_SECONDS):
            processes = tree(self._root)
            self.processes = max(self.processes, len(processes))
            self.memory = max(self.memory, sum(_memory(one) for one in processes if one in seen))
            seen.update(processes)

    def stop(self) -> None:
        """Ends the sampling."""
        self._stopped.set()
        self.join()


def tree_cpu(root: int) -> float:
    """CPU seconds of a running process and its descendants, and of those that it waited for."""
    ticks = 0
    for process in tree(root):
        fields = _stat(process)
        if fields:
            ticks += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return ticks / 100


def tree(root: int) -> list[int]:
    """A process and its descendants, by their parents' ids."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def parse_status(text: str) -> int:
    """RssAnon + RssShmem of a /proc/PID/status, in bytes."""
    total = 0
    for line in text.splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            total += int(line.split()[1]) * 1024
    return total


def _memory(process: int) -> int:
    try:
        return parse_status(Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0  # ended meanwhile


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold anything; none when it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
