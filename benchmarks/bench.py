"""One run of a suite: its contenders, its sheet, and the measurement of a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpora.corpus import Corpus
from benchmarks.measure import Command, CommandError, LimitError, Run, run
from benchmarks.peers.contender import Contender
from benchmarks.peers.ours import Ours
from benchmarks.scene import Scene, scene
from benchmarks.sheet import Sheet, turns


@dataclass(frozen=True)
class Choices:
    """Choices of the command line.

    Attributes:
        scale: The size of corpora; 1.0 is full.
        rounds: Repetitions of quick contenders; slow ones have one round.
        memory: A folder on tmpfs.
        disk: A folder on a disk.
        corpora: Corpora for `prepare` and `transfer`.
        before: An earlier command of this project, to compare with.
    """

    scale: float
    rounds: int
    memory: Path
    disk: Path
    corpora: tuple[Corpus, ...]
    before: Path | None = None


@dataclass
class Bench:
    """A suite's run.

    Attributes:
        choices: Choices of the command line.
        peers: The installed contenders, this project first.
        sheet: The figures.
    """

    choices: Choices
    peers: list[Contender]
    sheet: Sheet

    @property
    def ours(self) -> Ours:
        """The contender of this project."""
        (found,) = (peer for peer in self.peers if isinstance(peer, Ours))
        return found

    def some(self, *kinds: type[Contender]) -> list[Contender]:
        """The installed peers of these kinds."""
        return [peer for peer in self.peers if isinstance(peer, kinds)]

    def rounds(self, peers: Iterable[Contender], count: int = 0) -> Iterator[tuple[int, Contender]]:
        """Each contender once per round, in rotated order; slow ones only once."""
        by_name = {peer.name: peer for peer in peers}
        for number in range(count or self.choices.rounds):
            for name in turns(by_name, number):
                if number == 0 or not by_name[name].slow:
                    yield number, by_name[name]

    @contextmanager
    def scene(self, warm_bytes: int = 0, *, on_disk: bool = False) -> Iterator[Scene]:
        """A folder for a part of the suite."""
        with scene(self.choices.disk if on_disk else self.choices.memory, warm_bytes) as made:
            yield made

    def quietly(self, commands: Iterable[Command]) -> None:
        """Runs a setup command without measuring it."""
        for command in commands:
            run(command)

    def measure(
        self,
        case: str,
        peer: Contender,
        command: Command | None,
        where: Scene,
        *,
        sample: bool = False,
        name: str = "",
        after: Callable[[Run], dict[str, float | None]] | None = None,
    ) -> Run | None:
        """Runs a command and adds its figures to the sheet.

        Args:
            case: What is measured.
            peer: Whose command it is.
            command: The command; None adds nothing.
            where: The scene, for the names of folders.
            sample: Sample memory and processes.
            name: How the contender is called here, when not by its name.
            after: Makes further figures, once the command has ended well.

        Returns:
            What happened; None when it could not be done. Only a peer may fail.
        """
        if command is None:
            return None
        name = name or peer.name
        done = self.attempt(case, peer, command, where, sample=sample, name=name)
        if done is None:
            return None
        more = after(done) if after else {}
        self.sheet.add(
            case,
            name,
            seconds=done.seconds,
            cpu=done.cpu,
            memory=done.memory or None,  # it may end before the first sample
            processes=done.processes or None,
            **more,
        )
        print(f"  {case}: {name}: {done.seconds:.2f} s, CPU {done.cpu:.2f} s {more}", flush=True)
        return done

    def attempt(
        self,
        case: str,
        peer: Contender,
        command: Command,
        where: Scene,
        *,
        sample: bool = False,
        name: str = "",
    ) -> Run | None:
        """Runs a command and keeps its command line, but no figures.

        Args:
            case: What it is for.
            peer: Whose command it is.
            command: The command.
            where: The scene, for the names of folders.
            sample: Sample memory and processes.
            name: How the contender is called here.

        Returns:
            What happened; None, and a note in the sheet, when a peer failed or took too long.
        """
        peer.prove()
        done: Run | None = None
        try:
            done = run(command, sample=sample)
        except LimitError:
            pass
        except CommandError as failure:
            if isinstance(peer, Ours):
                raise
            shown = str(failure).replace(str(where.folder), "$RUN")
            self.sheet.note(f"{case}: {name} failed: {shown}")
            print(f"  {case}: {name} failed: {failure}", flush=True)
            return None
        places = where.names()
        if self.choices.before is not None:
            places[self.choices.before] = "$BEFORE"
        self.sheet.commands.setdefault(case, {})[name] = command.shown(places)
        if done is None:
            self.sheet.add(case, name, gave_up_after=command.limit)
            self.sheet.note(f"{case}: {name} was ended after {command.limit:.0f} s")
            print(f"  {case}: {name} was ended after {command.limit:.0f} s", flush=True)
        return done
