"""casync, this project."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Download, Mode, Place, Task
from benchmarks.peers.tool import Found, MissingError, Tool
from benchmarks.sheet import OURS


class Ours(Contender):
    """This project's command, beside the interpreter that runs the benchmarks.

    Args:
        delta: What `pull --delta` is given.
        binary: The command, when it is not that one.
    """

    name: ClassVar[str] = OURS
    tool: ClassVar[Tool] = Tool("casync", r"^casync (\S+)", "pip install -e .")
    server: ClassVar[str] = "itself"

    def __init__(self, delta: str = "auto", binary: Path | None = None) -> None:
        path = binary or Path(sys.executable).parent / "casync"
        if not path.exists():
            raise MissingError(f"{path} is missing: make .venv/.installed")
        super().__init__(Found(path, "this tree"))
        self.delta = delta

    def prove(self) -> None:
        """This one is meant to be ourselves."""

    def command(self, store: Path | str, *words: str | Path, stdout: Path | None = None) -> Command:
        """A command line of ours, on a store in a folder or in a bucket."""
        argv = (self.binary, "--store", store, *words)
        return Command(argv, stdout=stdout, limit=self.limit, env={"CASYNC_CONFIG": "/dev/null"})

    def prepare(self, source: Path, place: Place) -> Command:
        """`casync prepare FILE`; what it says goes into a file of the place."""
        document = place.local / f"{source.stem}.json"
        return self.command(self.stored(place), "--json", "prepare", source, stdout=document)

    def stored(self, place: Place) -> Path:
        """The store."""
        return place.local / "store"

    def receiver(self, place: Place) -> Path:
        """The store of whoever pulls."""
        return place.local / "receiver"

    def manifest(self, stem: str, place: Place) -> str:
        """The hash of what was prepared as `stem`."""
        return str(self.prepared(stem, place)["manifest"])

    def prepared(self, stem: str, place: Place) -> dict[str, Any]:
        """What `prepare --json` said."""
        document: dict[str, Any] = json.loads((place.local / f"{stem}.json").read_text())
        return document

    def with_delta(self, delta: str) -> Ours:
        """The same command with another `--delta`."""
        return Ours(delta, self.binary)

    def plan(self, task: Task, place: Place) -> Command:
        """`casync pull --dry-run`, which fetches the manifest and its nodes only."""
        command = self.pull(task, place)
        return replace(command, argv=(*command.argv, "--dry-run"))

    def resume(self, task: Task, place: Place) -> Command:
        """The same command again."""
        return self.pull(task, place)

    def download(self, task: Download) -> Command:
        """`casync download URL files/`, which tells at its end what it did."""
        return self.command(task.out, "--json", "download", task.url, "files/")

    def pull(self, task: Task, place: Place) -> Command:
        """`casync pull HASH -o OUT --server URL`."""
        words: list[str | Path] = ["-o", task.out, "--server", task.url]
        if task.mode is Mode.SEED and task.old:
            words += ["--seed", task.old]
        if task.mode is Mode.IN_PLACE:
            words += ["--in-place"]
        if self.delta != "none":
            words += ["--delta", self.delta]
        return self.command(
            self.receiver(place), "-q", "pull", self.manifest(task.stem, place), *words
        )
