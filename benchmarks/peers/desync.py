"""desync, casync's formats in Go, with parallel cutting and fetching."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Mode, Place, Task
from benchmarks.peers.tool import Tool


class Desync(Contender):
    """`desync make` and `desync extract`, with its defaults. It has no text with its version."""

    name: ClassVar[str] = "desync"
    tool: ClassVar[Tool] = Tool(
        "desync",
        r"^(?:desync is a c|C)ontent-addressed binary",
        "go install github.com/folbricht/desync/cmd/desync@latest",
        ("--help",),
    )

    def setup(self, place: Place) -> list[Command]:
        """The store has to be there."""
        return [Command(("/bin/mkdir", "-p", place.served / "store"))]

    def prepare(self, source: Path, place: Place) -> Command:
        """Cuts into chunks of 16/64/256 KiB, a file each."""
        index = place.served / f"{source.stem}.caibx"
        return self._command("make", "-s", place.served / "store", index, source)

    def seed(self, old: Path, place: Place) -> list[Command]:
        """A seed needs an index."""
        return [self._command("make", place.local / "seed.caibx", old)]

    def pull(self, task: Task, place: Place) -> Command | None:
        """Ten requests at once, one chunk each, over HTTP."""
        url = f"{task.url}/{place.path}"
        words: list[str | Path] = ["extract", "-s", f"{url}/store"]
        if task.mode is Mode.SEED:
            words += ["--seed", f"{place.local}/seed.caibx:{task.old}"]
        if task.mode is Mode.IN_PLACE:
            words.append("-k")
        return self._command(*words, f"{url}/{task.stem}.caibx", task.out)

    def resume(self, task: Task, place: Place) -> Command | None:
        """`-k` leaves what there is, and looks at it next time."""
        return self.pull(replace(task, mode=Mode.IN_PLACE), place)

    def _command(self, *words: str | Path) -> Command:
        return Command((self.binary, *words), limit=self.limit)
