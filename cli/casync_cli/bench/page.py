"""The bench page: one self-contained HTML file.

It has no scripts, no fonts and no links. File names are untrusted, and escaped twice: for display
(`casync.escape`) and for HTML.
"""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from casync import __version__
from casync.escape import escape
from casync.objects.codec import DEFAULT_LEVEL
from casync.ops.bench import Transfer, Trial
from casync.planning.origins import ByteOrigin
from casync.sizes import format_size
from casync_cli.bench.charts import Bar, bars, stack
from casync_cli.bench.map import ORIGINS, draw_map
from casync_cli.bench.report import Bench, chunk_size, headline, rate, reason, share
from casync_cli.bench.style import STYLE

__all__ = ["render"]

_HEADS: Final = (
    "chunk size",
    "without deltas",
    "of it manifest",
    "with deltas",
    "of it manifest",
    "chunks",
    "different",
    "new",
    "store grows by",
    "prepare old",
    "prepare new",
    "pull, without deltas",
    "pull, with deltas",
)


def render(bench: Bench) -> str:
    """Renders the page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_name(bench.old.path)} to {_name(bench.new.path)}: casync bench</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{_header(bench)}\n{_origins(bench)}\n{_transfers(bench)}\n{_speeds(bench)}\n"
        f"{_table(bench)}\n{_method(bench)}\n</main>\n</body>\n</html>\n"
    )


def _name(path: Path) -> str:
    return html.escape(escape(path.name or str(path)))


def _header(bench: Bench) -> str:
    chosen = bench.chosen
    size = chunk_size(chosen.params)
    return (
        f"<header><h1>{html.escape(headline(bench))}</h1>"
        f'<p>From <span class="path">{_name(bench.old.path)}</span> to '
        f'<span class="path">{_name(bench.new.path)}</span>, in chunks of {size}. '
        f"A receiver without the old file fetches {format_size(chosen.whole.stored)}.</p>"
        f"<p>Recommended: <strong>{size}</strong>, which {reason(bench)}.</p></header>"
    )


def _origins(bench: Bench) -> str:
    origins, length = bench.chosen.origins, bench.new.length
    if not length:
        return (
            "<section><h2>Where the new bytes come from</h2><p>The new file is empty.</p></section>"
        )
    totals = [(origin, label, origins.total(origin)) for origin, label in ORIGINS.items()]
    key = "".join(
        f"<li>{stack([(1, origin.value)], 1)}<span>{label}</span><span>{format_size(count)}</span>"
        f'<span class="part">{html.escape(share(count, length))}</span></li>'
        for origin, label, count in totals
    )
    parts = [(float(count), origin.value) for origin, _, count in totals]
    return (
        "<section><h2>Where the new bytes come from</h2>"
        f"<p>All {format_size(length)} of the new file, before compression and deltas. "
        f"{_sent(bench.chosen)}</p>"
        f'{stack(parts, length, "whole")}<ul class="key">{key}</ul></section>'
        "<section><h2>Map of the new file</h2>"
        "<p>Read it line by line, from the first byte to the last. Each column is "
        f"{format_size(origins.cell_bytes)}; its colours show where the bytes come from. Bytes "
        "that the old file lacks are at the bottom, drawn larger if there are very few.</p>"
        f"{draw_map(origins)}</section>"
    )


def _sent(trial: Trial) -> str:
    """How the part that the old file lacks is sent."""
    lacking = format_size(trial.origins.total(ByteOrigin.TRAVEL))
    plain, delta = format_size(trial.plain.chunks), format_size(trial.delta.chunks)
    return (
        f"Of these, {lacking} are not in the old file: {plain} as compressed chunks, {delta} "
        "with deltas, to which the manifest is added."
    )


def _transfers(bench: Bench) -> str:
    charts = [
        ("Without deltas", [trial.plain for trial in bench.trials]),
        ("With deltas", [trial.delta for trial in bench.trials]),
    ]
    most = max(transfer.received for _, transfers in charts for transfer in transfers)
    return (
        "<section><h2>Bytes to transfer</h2><p>Compressed, by average chunk size: "
        f'<span class="inline">{stack([(1, "travel")], 1)} chunks</span>'
        f'<span class="inline">{stack([(1, "manifest")], 1)} manifest</span></p>'
        f'<div class="charts">{"".join(_transfer(bench, *chart, most) for chart in charts)}</div>'
        "</section>"
    )


def _transfer(bench: Bench, title: str, transfers: Sequence[Transfer], most: float) -> str:
    rows = [
        Bar(
            chunk_size(trial.params),
            [(transfer.chunks, "travel"), (transfer.manifest, "manifest")],
            format_size(transfer.received),
            trial is bench.chosen,
        )
        for trial, transfer in zip(bench.trials, transfers, strict=True)
    ]
    return bars(title, rows, most)


def _speeds(bench: Bench) -> str:
    old, new = bench.old.data, bench.new.data
    charts = [
        ("Prepare old (all is new)", old, [t.old.seconds for t in bench.trials]),
        ("Prepare new (old is known)", new, [t.new.seconds for t in bench.trials]),
        ("Pull new, without deltas", new, [t.plain.seconds for t in bench.trials]),
        ("Pull new, with deltas", new, [t.delta.seconds for t in bench.trials]),
    ]
    most = max(_rate(count, second) for _, count, seconds in charts for second in seconds)
    return (
        "<section><h2>Speed</h2><p>Bytes of data per second on this machine, without holes, synced "
        "to disk, without a network, measured once. The same CPUs make the deltas.</p>"
        f'<div class="charts">{"".join(_speed(bench, *chart, most) for chart in charts)}</div>'
        "</section>"
    )


def _speed(bench: Bench, title: str, count: int, seconds: list[float], most: float) -> str:
    rows = [
        Bar(
            chunk_size(trial.params),
            [(_rate(count, taken), "speed")],
            rate(count, taken),
            trial is bench.chosen,
        )
        for trial, taken in zip(bench.trials, seconds, strict=True)
    ]
    return bars(title, rows, most)


def _rate(count: int, seconds: float) -> float:
    return count / max(seconds, 1e-3)


def _table(bench: Bench) -> str:
    heads = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
    rows = "".join(_row(bench, trial) for trial in bench.trials)
    return (
        '<section><h2>All figures</h2><div class="table"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _row(bench: Bench, trial: Trial) -> str:
    fields = (
        chunk_size(trial.params),
        format_size(trial.plain.received),
        format_size(trial.plain.manifest),
        format_size(trial.delta.received),
        format_size(trial.delta.manifest),
        f"{trial.whole.chunks:,}",
        f"{trial.whole.distinct:,}",
        f"{trial.new.new:,}",
        format_size(trial.new.stored),
        f"{trial.old.seconds:.2f} s",
        f"{trial.new.seconds:.2f} s",
        f"{trial.plain.seconds:.2f} s",
        f"{trial.delta.seconds:.2f} s",
    )
    style = ' class="chosen"' if trial is bench.chosen else ""
    return f"<tr{style}>{''.join(f'<td>{field}</td>' for field in fields)}</tr>"


def _method(bench: Bench) -> str:
    facts = [
        ("Old file", _input(bench.old.path, bench.old.length, bench.old.data)),
        ("New file", _input(bench.new.path, bench.new.length, bench.new.data)),
        (
            "Chunks",
            "cut by FastCDC, from a quarter of the average to four times the average; "
            f"compressed with zstd at level {DEFAULT_LEVEL}",
        ),
        (
            "Receiver",
            "has the old file and its manifest from an earlier pull, and nothing else; the frame "
            "headers of fetched chunks are counted, HTTP headers are not (about 200 bytes per "
            "request in each direction)",
        ),
        (
            "Recommendation",
            "the largest size that moves at most 10 % more than the best one, or at most 0.1 % of "
            "the new file more; fewer chunks are faster to list and to look up",
        ),
        ("Folder", html.escape(escape(str(bench.folder)))),
        ("Program", f"casync {__version__} on {len(os.sched_getaffinity(0))} CPUs"),
    ]
    rows = "".join(f"<dt>{label}</dt><dd>{text}</dd>" for label, text in facts)
    return f"<section><h2>How it was measured</h2><dl>{rows}</dl></section>"


def _input(path: Path, length: int, data: int) -> str:
    holes = f", {format_size(length - data)} of it holes" if data < length else ""
    return (
        f'<span class="path">{html.escape(escape(str(path)))}</span>, {format_size(length)}{holes}'
    )
