"""`casync bench`: what a delta transfer from one file to the next would cost."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import NoSpaceError, UsageError
from casync_cli.invocation import invocation_of
from casync_cli.parsing.sizes import parse_size

if TYPE_CHECKING:
    from casync.access.progress import Progress
    from casync.fs.target.place import TargetPlace
    from casync.objects.chunker import ChunkerParams

DETAILS = (
    "Prepares OLD and NEW with several chunk sizes, pulls NEW as somebody who has OLD, and prints "
    "for each size what travelled, in how many chunks, and how fast it went. All of it is really "
    "done, in a temporary folder (TMPDIR, else /tmp) that is removed afterwards; only the network "
    "is missing, and your store is left alone."
)
EXAMPLES = (
    "casync bench vm-2024-05.img vm-2024-06.img",
    "casync bench old.db new.db --chunk-sizes 4K,16K,64K --html bench.html",
    "TMPDIR=/dev/shm casync bench old.tar new.tar --json",
)

_SIZES = "8KiB,16KiB,32KiB,64KiB,128KiB"


def run(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="What a receiver has.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it wants.")],
    chunk_sizes: Annotated[
        str,
        typer.Option("--chunk-sizes", metavar="LIST", help="Average chunk sizes to try."),
    ] = _SIZES,
    html: Annotated[
        str | None,
        typer.Option("--html", metavar="FILE", help="Write a page with plots and a map, too."),
    ] = None,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    paths = [_input(text) for text in (old, new)]
    choices = _choices(chunk_sizes)
    page = None if html is None else _page_place(Path(html), paths)
    from casync import api
    from casync.ops.bench import look
    from casync_cli.bench.report import Bench, BenchReport, chunk_size

    invocation.resume = "Nothing of this run is kept."
    folder = Path(tempfile.gettempdir())
    report = BenchReport(invocation.output)
    with invocation.progress() as progress:
        before, after = [look(path, progress) for path in paths]
        bench = Bench(before, after, [], folder)
        for params in choices:
            within = _Within(progress, chunk_size(params))
            try:
                bench.trials.append(api.bench(before, after, params, folder, within))
            except NoSpaceError as error:
                step = "Set TMPDIR to a folder that has more room."
                raise NoSpaceError(error.message, next_step=step) from error
            report.trial(bench)
    report.end(bench)
    if page is not None:
        from casync.fs.target.base import open_sink
        from casync_cli.bench.page import render

        data = render(bench).encode()
        with open_sink(page, len(data)) as sink:
            sink.write(0, [data])
            sink.commit()


class _Within:
    """A `casync.access.progress.Progress` that says for which chunk size something is done."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label
        self.advance = progress.advance
        self.note = progress.note

    def start(self, what: str, total: int | None) -> None:
        """A phase begins."""
        self._progress.start(f"{self._label}: {what}", total)


def _input(text: str) -> Path:
    """A file that can be read several times."""
    if text == "-":
        raise UsageError("bench reads its files several times; stdin can be read once")
    path = Path(text)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path  # whoever opens it says what is wrong
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder", next_step="Compare tar archives of two folders.")
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise UsageError(f"{path} is neither a file nor a block device")
    return path


def _choices(text: str) -> list[ChunkerParams]:
    from casync.objects.chunker import ChunkerParams

    return [
        ChunkerParams.from_average(size) for size in sorted(set(map(parse_size, text.split(","))))
    ]


def _page_place(path: Path, inputs: list[Path]) -> TargetPlace:
    """Where the page goes: looked at before the long work, and never one of the inputs."""
    from casync.fs.target.place import inspect_place

    place = inspect_place(path, in_place=False)
    if place.is_device or any(_is_same(place.path, other) for other in inputs):
        raise UsageError(f"--html would overwrite {path}", next_step="Name another file.")
    return place


def _is_same(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
