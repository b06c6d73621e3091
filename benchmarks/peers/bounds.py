"""cp, curl and b3sum: lower bounds of time, not peers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.tool import Tool


class Cp(Contender):
    """`cp`: what the machine needs to copy the data."""

    name: ClassVar[str] = "cp"
    tool: ClassVar[Tool] = Tool("cp", r"^cp \(GNU coreutils\) (\S+)", "apt install coreutils")

    def copy(self, source: Path, out: Path) -> Command:
        """Copies, holes as holes."""
        return Command((self.binary, "--sparse=always", source, out), limit=self.limit)


class Curl(Contender):
    """`curl`: the whole file over HTTP, as it is."""

    name: ClassVar[str] = "curl, whole file"
    tool: ClassVar[Tool] = Tool("curl", r"^curl (\S+)", "apt install curl")

    def pull(self, task: Task, place: Place) -> Command | None:
        """Into a file."""
        if task.mode is not Mode.COLD:
            return None
        return self.fetch(task)

    def resume(self, task: Task, place: Place) -> Command | None:
        """`-C -` asks for what comes after the end of the target."""
        return self.fetch(task, "-C", "-")

    def fetch(self, task: Task, *words: str) -> Command:
        """Gets the file itself."""
        url = f"{task.url}/files/{task.stem}{task.out.suffix}"
        argv: tuple[str | Path, ...] = (self.binary, "-sS", "-f", *words, "-o", task.out, url)
        return Command(argv, limit=self.limit)


class B3sum(Contender):
    """`b3sum`: what the machine needs to hash the data."""

    name: ClassVar[str] = "b3sum"
    tool: ClassVar[Tool] = Tool("b3sum", r"^b3sum (\S+)", "apt install b3sum")

    def digest(self, source: Path) -> Command:
        """Hashes a file with all CPUs."""
        return Command((self.binary, source), limit=self.limit)
