"""casync of the systemd project, in C. Its command has the same name as ours."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.tool import Tool


class CasyncC(Contender):
    """`casync make` and `casync extract`, with its defaults."""

    name: ClassVar[str] = "casync (C)"
    tool: ClassVar[Tool] = Tool("casync", r"^casync (\d+)$", "apt install casync")

    def prepare(self, source: Path, place: Place) -> Command:
        """Cuts into chunks of 16/64/256 KiB, a file each."""
        index = place.served / f"{source.stem}.caibx"
        argv = (self.binary, "make", f"--store={place.served}/default.castr", index, source)
        return Command(argv, env={"TMPDIR": str(place.local)}, limit=self.limit)

    def resume(self, task: Task, place: Place) -> Command | None:
        """It can only start again."""
        return self.pull(task, place)

    def pull(self, task: Task, place: Place) -> Command | None:
        """One chunk a request, over HTTP. `--seed-output` ends with an error (ESTALE)."""
        if task.mode is Mode.IN_PLACE:
            return None
        url = f"{task.url}/{place.path}"
        words: list[str | Path] = ["extract", f"--store={url}/default.castr", "--punch-holes=yes"]
        if task.mode is Mode.SEED:
            words.append(f"--seed={task.old}")
        words += [f"{url}/{task.stem}.caibx", task.out]
        env = {"TMPDIR": str(place.local)}  # where it keeps chunks and links until its end
        return Command((self.binary, *words), env=env, limit=self.limit)
