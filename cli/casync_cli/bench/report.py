"""Results of a bench, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from casync.limits import KIB, MIB
from casync.objects.chunker import ChunkerParams
from casync.ops.bench import BenchInput, Transfer, Trial, recommend
from casync.planning.origins import ByteOrigin
from casync.sizes import format_count, format_size
from casync_cli.bench.map import ORIGINS
from casync_cli.output import Output

__all__ = ["Bench", "BenchReport", "chunk_size", "headline", "rate", "reason", "share"]

_HEADS: Final = (
    ("size", "plain", "deltas", "chunks", "new", "prepare", "pull plain", "pull deltas"),
    ("", "received", "received", "", "", "speed", "speed", "speed"),
)
_WIDTHS: Final = (7, 8, 8, 6, 6, 10, 10, 11)


class Bench(NamedTuple):
    """The results of a run.

    Attributes:
        old: The file that the receiver has.
        new: The file that the receiver wants.
        trials: Measurements, by rising chunk size.
        folder: Folder for temporary files.
    """

    old: BenchInput
    new: BenchInput
    trials: list[Trial]
    folder: Path

    @property
    def chosen(self) -> Trial:
        """The recommended trial."""
        return recommend(self.trials)

    @property
    def least(self) -> Trial:
        """The trial that moves the fewest bytes."""
        return min(self.trials, key=lambda trial: trial.best.received)


class BenchReport:
    """Prints each trial as it ends, and a summary at the end.

    Args:
        output: Prints the report.
    """

    def __init__(self, output: Output) -> None:
        self._output = output

    def trial(self, bench: Bench) -> None:
        """Prints a line for the last trial, unless the output is JSON."""
        output, trial = self._output, bench.trials[-1]
        if output.json_mode:
            return
        if not output.to_terminal:
            output.row(*map(str, _flat(_figures(trial))))
            return
        if len(bench.trials) == 1:
            for heads in _HEADS:
                self._aligned(heads)
        self._aligned(
            (
                chunk_size(trial.params),
                format_size(trial.plain.received),
                format_size(trial.delta.received),
                str(trial.whole.chunks),
                str(trial.new.new),
                rate(bench.new.data, trial.new.seconds),
                rate(bench.new.data, trial.plain.seconds),
                rate(bench.new.data, trial.delta.seconds),
            )
        )

    def end(self, bench: Bench) -> None:
        """Prints the recommendation, and the origins of the bytes with it."""
        output, chosen = self._output, bench.chosen
        if output.json_mode:
            output.document("casync.bench/1", _document(bench))
        else:
            size = chunk_size(chosen.params) if output.to_terminal else str(chosen.params.avg_size)
            output.row("recommended", size, reason(bench))
        output.flush()
        output.say(headline(bench))
        output.say("before compression and deltas, the bytes of the new file are:")
        for origin, label in ORIGINS.items():
            if count := chosen.origins.total(origin):
                output.say(f"  {label}: {format_size(count)}")

    def _aligned(self, fields: Sequence[str]) -> None:
        self._output.row(
            *(field.rjust(width) for field, width in zip(fields, _WIDTHS, strict=True))
        )


def chunk_size(params: ChunkerParams) -> str:
    """The average chunk size, such as `16 KiB`."""
    size = params.avg_size
    if size % MIB == 0:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size % KIB == 0 else f"{size} B"


def rate(count: int, seconds: float) -> str:
    """Bytes per second, such as `1.2 GiB/s`."""
    return f"{format_size(int(count / max(seconds, 1e-3)))}/s"


def share(part: int, whole: int) -> str:
    """A part in percent, such as `1.3 %`."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.01:
        return "<0.01 %"
    digits = 0 if percent == 0 or percent >= 99.95 else 1 if percent >= 0.095 else 2
    return f"{percent:.{digits}f} %"


def headline(bench: Bench) -> str:
    """What travels with the recommended size, with and without deltas."""
    chosen, length = bench.chosen, bench.new.length
    plain, delta = chosen.plain.received, chosen.delta.received
    whole = format_size(length)
    if plain <= delta:
        return (
            f"{format_size(plain)} of {whole} travel without deltas ({share(plain, length)}); "
            "deltas are not shorter"
        )
    return (
        f"{format_size(delta)} of {whole} travel with deltas ({share(delta, length)}), "
        f"{format_size(plain)} without them ({share(plain, length)})"
    )


def reason(bench: Bench) -> str:
    """Why the size is recommended; follows the size in a sentence."""
    chosen, least = bench.chosen, bench.least
    if chosen is least:
        return "moves the least"
    more = chosen.best.received - least.best.received
    much = f"{format_size(more)} more than" if more else "as few bytes as"
    return (
        f"moves {much} {chunk_size(least.params)}, "
        f"in {format_count(chosen.whole.chunks, 'chunk')} instead of {least.whole.chunks}"
    )


def _figures(trial: Trial) -> dict[str, object]:
    """The figures of one trial for programs: bytes, counts, seconds."""
    params, whole = trial.params, trial.whole
    return {
        "chunk_size": params.avg_size,
        "chunks": whole.chunks,
        "distinct": whole.distinct,
        "new": trial.new.new,
        "grown": trial.new.stored,
        "whole": whole.stored,
        "origins": {origin.value: trial.origins.total(origin) for origin in ByteOrigin},
        "prepare_old_seconds": round(trial.old.seconds, 3),
        "prepare_new_seconds": round(trial.new.seconds, 3),
        "plain": _transfer(trial.plain),
        "delta": _transfer(trial.delta),
    }


def _transfer(transfer: Transfer) -> dict[str, object]:
    return {
        "received": transfer.received,
        "manifest": transfer.manifest,
        "sent": transfer.sent,
        "requests": transfer.requests,
        "seconds": round(transfer.seconds, 3),
    }


def _flat(figures: Mapping[str, object]) -> Iterator[object]:
    for value in figures.values():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield value


def _document(bench: Bench) -> dict[str, object]:
    return {
        "old": _input(bench.old),
        "new": _input(bench.new),
        "recommended": bench.chosen.params.avg_size,
        "reason": reason(bench),
        "trials": [_figures(trial) for trial in bench.trials],
    }


def _input(given: BenchInput) -> dict[str, object]:
    return {"path": str(given.path), "length": given.length, "data": given.data}
