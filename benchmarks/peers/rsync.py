"""rsync with its daemon: reads both files on each transfer, and needs no preparation."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.tool import Tool


class Rsync(Contender):
    """`rsync -z` by its own protocol. The old file is the target, in either mode."""

    name: ClassVar[str] = "rsync"
    tool: ClassVar[Tool] = Tool("rsync", r"^rsync +version (\S+)", "apt install rsync")
    server: ClassVar[str] = "rsync"
    updates_target: ClassVar[bool] = True

    def pull(self, task: Task, place: Place) -> Command | None:
        """`--sparse`, and `--inplace` when asked for."""
        words = ["-z", "--sparse", "--no-whole-file"]
        if task.mode is Mode.IN_PLACE:
            words.append("--inplace")
        source = f"{task.url}/files/{task.stem}{task.out.suffix}"
        return Command((self.binary, *words, source, task.out), limit=self.limit)

    def resume(self, task: Task, place: Place) -> Command | None:
        """`--inplace` keeps partial data, and uses it next time."""
        return self.pull(replace(task, mode=Mode.IN_PLACE), place)
