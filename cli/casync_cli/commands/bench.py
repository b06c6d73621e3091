"""`casync bench`: measures the cost of an update from one file to another."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import NoSpaceError, UsageError
from casync_cli.invocation import invocation_of
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.sizes import parse_size

if TYPE_CHECKING:
    from casync.access.progress import Progress
    from casync.fs.target.place import TargetPlace
    from casync.objects.chunker import ChunkerParams

DETAILS = (
    "Prepares OLD and NEW with several chunk sizes and pulls NEW as a receiver that has OLD. "
    "Prints bytes transferred, number of chunks and speed for each size. The run is real except "
    "for the network. It uses a temporary folder (TMPDIR, else /tmp), which is removed at the "
    "end, and does not touch your store."
)
EXAMPLES = (
    "casync bench vm-2024-05.img vm-2024-06.img",
    "casync bench old.db new.db --chunk-sizes 4K,16K,64K --html bench.html",
    "TMPDIR=/dev/shm casync bench old.tar new.tar --json",
)

_SIZES = "8KiB,16KiB,32KiB,64KiB,128KiB"


def run(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The file that a receiver has.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The file that it wants.")],
    chunk_sizes: Annotated[
        str,
        typer.Option("--chunk-sizes", metavar="LIST", help="Average chunk sizes to try."),
    ] = _SIZES,
    html: Annotated[
        str | None,
        typer.Option("--html", metavar="FILE", help="Also write a page with charts and a map."),
    ] = None,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    paths = [_input(text) for text in (old, new)]
    choices = _choices(chunk_sizes)
    page = None if html is None else _page_place(parse_path(html, "--html"), paths)
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
                step = "Set TMPDIR to a folder with more free space."
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
    """A `casync.access.progress.Progress` that puts the chunk size before each phase."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label
        self.advance = progress.advance
        self.note = progress.note

    def start(self, what: str, total: int | None) -> None:
        """Starts a phase."""
        self._progress.start(f"{self._label}: {what}", total)


def _input(text: str) -> Path:
    """The path of an input. It must be readable several times."""
    if text == "-":
        raise UsageError("bench reads its inputs several times, which stdin does not allow")
    path = Path(text)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path  # opening it reports the error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder", next_step="Use tar archives of two folders.")
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise UsageError(f"{path} is neither a file nor a block device")
    return path


def _choices(text: str) -> list[ChunkerParams]:
    from casync.objects.chunker import ChunkerParams

    return [
        ChunkerParams.from_average(size) for size in sorted(set(map(parse_size, text.split(","))))
    ]


def _page_place(path: Path, inputs: list[Path]) -> TargetPlace:
    """The target of the page. It is checked before the long work, and must not be an input."""
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
