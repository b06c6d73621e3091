"""RESULTS.md, from the figures of all suites. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.sheet import OURS, Results, Sheet
from benchmarks.targets import Target, targets, total_bytes

HEAD = """# Results

Made by `make bench`; [README.md](README.md) says how, and why the figures can be trusted. All comparisons are ratios within one run on one machine; seconds are shown so that one sees that nothing is too short to measure. Medians over the rounds, with the least and the greatest in brackets.
"""  # noqa: E501
MIB = 1 << 20
MB = 10**6

TITLES = {
    "prepare": "Prepare",
    "transfer": "Pull",
    "updates": "Updates, against the size",
    "sparse": "A large sparse image",
    "downloads": "Many files from a web server",
    "shards": "Shards for training jobs",
    "archives": "Archives that grow",
    "sites": "Static sites",
    "buckets": "Stores in buckets",
    "resume": "Interrupted and resumed",
    "slow": "A slow link",
    "small": "Small, unchanged, sparse",
    "sizes": "Growth with the size",
    "memory": "Memory",
    "cpus": "One CPU and two",
    "pullers": "Many at once",
    "durability": "The cost of durability",
}
PLOTS = {
    "prepare": ("prepare.svg",),
    "transfer": ("pull.svg", "bytes.svg"),
    "slow": ("slow.svg",),
    "sizes": ("sizes.svg",),
    "pullers": ("pullers.svg",),
}
COLUMNS = {
    "seconds": "s",
    "cpu": "CPU s",
    "server_cpu": "server CPU s",
    "memory": "memory MiB",
    "server_memory": "server's MiB",
    "processes": "processes",
    "stored": "stored MB",
    "received": "received MB",
    "sent": "sent MB",
    "needed": "needed MB",
    "requests": "requests",
    "manifest": "manifest MB",
    "rate": "MB/s in all",
    "health_slowest": "/healthz slowest s",
}
COMPARED = {
    "downloads": {"cpu": "CPU, of ours", "memory": "memory, of ours"},
    "archives": {"cpu": "CPU, of ours", "stored": "bytes stored, of ours"},
}
"""What else than time and bytes is shown as a ratio, by suite."""
IN_MB = {"stored", "needed", "received", "sent", "manifest", "rate"}


def render(results: Results, before: Results, remarks: str) -> str:
    """The whole document.

    Args:
        results: All suites.
        before: Suites of an earlier state of this project, on the same machine.
        remarks: Remarks on missed targets, written by hand.
    """
    said = iter([remarks] if remarks else [])
    parts = (
        _targets(results),
        said,
        _progress(results, before),
        _machine(results),
        _suites(results),
    )
    return "\n".join([HEAD, *(line for part in parts for line in part)]) + "\n"


def _progress(results: Results, before: Results) -> Iterator[str]:
    lines = [
        (case, was, now)
        for name, old in before.items()
        if name in results
        for case in old.figures
        if (was := old.get(case, OURS, "seconds"))
        and (now := results[name].get(case, OURS, "seconds"))
    ]
    if not lines:
        return
    commits = {sheet.about["commit"] for sheet in before.values()}
    yield "## Before and after\n"
    yield f"Ours alone: commit {', '.join(sorted(commits))}, and now.\n"
    yield "| | before, s | now, s | faster |"
    yield "|---|--:|--:|--:|"
    for case, was, now in lines:
        yield f"| {case} | {was:.2f} | {now:.2f} | {was / now:.2f} |"
    yield ""


def _targets(results: Results) -> Iterator[str]:
    yield "## Targets\n"
    yield "| what | target | measured | |"
    yield "|---|--:|--:|---|"
    for target in targets():
        value = target.value(results)
        sign = "≥" if target.at_least else "≤"
        shown = "not measured" if value is None else with_unit(value, target)
        verdict = {True: "met", False: "**missed**", None: ""}[target.met(results)]
        yield f"| {target.what} | {sign} {with_unit(target.bound, target)} | {shown} | {verdict} |"
    yield ""


def with_unit(value: float, target: Target) -> str:
    """A figure as the table of targets shows it."""
    digits = 0 if target.unit in ("", "MiB") else 2
    return f"{value:.{digits}f} {target.unit}".strip()


def _machine(results: Results) -> Iterator[str]:
    yield "## Machine and versions\n"
    yield "| | |"
    yield "|---|---|"
    abouts = {name: sheet.about for name, sheet in results.items()}
    keys = dict.fromkeys(key for about in abouts.values() for key in about)
    for key in keys:
        values: dict[str, list[str]] = {}
        for name, about in abouts.items():
            if key in about:
                values.setdefault(about[key], []).append(name)
        said = [
            value if len(values) == 1 else f"{value} ({', '.join(names)})"
            for value, names in values.items()
        ]
        yield f"| {key} | {'; '.join(said)} |"
    yield ""


def _suites(results: Results) -> Iterator[str]:
    for name, title in TITLES.items():
        if name not in results:
            continue
        sheet = results[name]
        yield f"## {title}\n"
        for note in sheet.notes:
            yield f"- {note}"
        if sheet.notes:
            yield ""
        for plot in PLOTS.get(name, ()):
            yield f"![{title}](plots/{plot})\n"
        for case in sheet.figures:
            yield from _case(sheet, case)
        yield from _commands(sheet)


def _case(sheet: Sheet, case: str) -> Iterator[str]:
    contenders = sheet.contenders(case)
    measures = [
        measure
        for measure in COLUMNS
        if any(sheet.get(case, contender, measure) is not None for contender in contenders)
    ]
    if not measures:
        return
    compared = len(contenders) > 1
    yield f"**{case}**\n"
    heads = [COLUMNS[measure] for measure in measures]
    further = {
        measure: head
        for measure, head in COMPARED.get(sheet.suite, {}).items()
        if measure in measures
    }
    if compared:
        received = ["bytes, of ours"] if "received" in measures else []
        heads = ["time, of ours", *received, *further.values(), *heads]
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{'--:|' * len(heads)}"
    for contender in contenders:
        cells = [_cell(sheet, case, contender, measure) for measure in measures]
        if compared:
            ratios = [_times(sheet.ratio(case, contender, "seconds"))]
            if "received" in measures:
                ratios.append(_times(_byte_ratio(sheet, case, contender)))
            ratios += [_times(sheet.ratio(case, contender, measure)) for measure in further]
            cells = [*ratios, *cells]
        yield f"| {contender} | {' | '.join(cells)} |"
    yield ""


def _byte_ratio(sheet: Sheet, case: str, contender: str) -> float | None:
    """Bytes in both directions of this project's transfer; the plain one if there are several."""
    for ours in (f"{OURS}, plain", OURS):
        mine = total_bytes(sheet, case, ours)
        if mine:
            theirs = total_bytes(sheet, case, contender)
            return None if theirs is None else theirs / mine
    return None


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _cell(sheet: Sheet, case: str, contender: str, measure: str) -> str:
    value = sheet.get(case, contender, measure)
    if value is None:
        limit = sheet.get(case, contender, "gave_up_after")
        return f"> {limit:.0f}" if measure == "seconds" and limit else ""
    if measure in ("memory", "server_memory"):
        return f"{value / MIB:.0f}"
    if measure in IN_MB:
        return f"{value / MB:.2f}" if value < 10 * MB else f"{value / MB:.1f}"
    if measure in ("requests", "processes"):
        return f"{value:.0f}"
    spread = sheet.spread(case, contender, measure)
    if measure == "seconds" and spread and spread[0] != spread[1]:
        return f"{value:.2f} ({spread[0]:.2f}-{spread[1]:.2f})"
    return f"{value:.2f}"


def _commands(sheet: Sheet) -> Iterator[str]:
    lines = {
        (contender, command): None
        for commands in sheet.commands.values()
        for contender, command in commands.items()
    }
    if not lines:
        return
    yield "<details><summary>Command lines</summary>\n\n```"
    for contender, command in lines:
        yield f"# {contender}\n{command}"
    yield "```\n</details>\n"
