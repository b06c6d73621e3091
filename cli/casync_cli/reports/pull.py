"""Results and plans of a pull, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from casync.errors import NoObjectError
from casync.sizes import format_size
from casync_cli.output import Output
from casync_cli.parsing.times import format_duration
from casync_cli.reports.traffic import delta_fields, say_sources, seed_fields, traffic_fields

if TYPE_CHECKING:
    from casync.ops.pull.file import Pulled
    from casync.ops.pull.forecast import Forecast
    from casync.ops.pull_folder.forecast import FolderForecast

__all__ = ["report_plan", "report_pull"]


def report_pull(output: Output, pulled: Pulled, out: str | None) -> None:
    """Reports a pull. The hash is printed as data only if there is no target.

    Args:
        output: Prints the report.
        pulled: The result.
        out: The target as typed; None for the store.
    """
    if output.json_mode:
        output.document(
            "casync.pull/1",
            {
                "manifest": pulled.manifest.hex(),
                "output": out,
                "outcome": pulled.outcome,
                "length": pulled.length,
                "sources": dict(pulled.sources),
                "seeds": seed_fields(pulled.seeds),
                **traffic_fields(pulled.traffic),
                **delta_fields(pulled.traffic),
                "seconds": round(pulled.seconds, 3),
            },
        )
    elif out is None:
        output.row(pulled.manifest.hex())
    output.flush()
    label = "stdout" if out == "-" else out or pulled.manifest.hex()
    output.say(
        f"{label}: {pulled.outcome}, {format_size(pulled.length)} in "
        f"{format_duration(pulled.seconds)}"
    )
    say_sources(output, pulled, out)


def report_plan(output: Output, plan: Forecast | FolderForecast) -> None:
    """Reports the plan of a pull.

    Raises:
        NoObjectError: The pull would fail: no source has some of the content.
    """
    from casync.ops.pull.forecast import Forecast

    of_file = plan if isinstance(plan, Forecast) else None
    seeds = of_file.seeds if of_file is not None else []
    if output.json_mode:
        fields = {**plan._asdict(), "manifest": plan.manifest.hex(), "sources": dict(plan.sources)}
        if of_file is not None:
            fields["seeds"] = [{"path": str(path), "seen": seen} for path, seen in seeds]
        output.document("casync.plan/1" if of_file is not None else "casync.plan-folder/1", fields)
    else:
        _print(output, plan)
        for path, seen in seeds:
            output.row("seed", str(path), seen)
    output.flush()
    if plan.received:
        inner = "manifest and nodes" if of_file is not None else "manifest, nodes and folders"
        output.say(f"received {format_size(plan.received)} to plan this: {inner}")
    if plan.fetch:
        output.say("deltas can reduce the bytes to fetch; see --delta")
    if plan.missing:
        raise NoObjectError(
            f"no source has {format_size(plan.missing)} of {plan.manifest.hex()}",
            next_step="Name a server that has it with --server URL.",
        )


_COUNTS: Final = ("files", "kept", "others", "remove", "left_out")
"""Counts that only plans of folders have."""


def _print(output: Output, plan: Forecast | FolderForecast) -> None:
    output.row("manifest", plan.manifest.hex())
    counts = plan._asdict()
    for what in _COUNTS:
        if what in counts:
            output.row(what.replace("_", " "), str(counts[what]))
    rows = [
        ("length", plan.length),
        ("fetch", plan.fetch),
        *((f"from {source}", count) for source, count in plan.sources.items()),
        ("missing", plan.missing),
    ]
    for label, count in rows:
        output.row(label, format_size(count) if output.to_terminal else str(count))
    output.row("objects", str(plan.objects))
