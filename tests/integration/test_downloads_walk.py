"""The walk in docs/DOWNLOADS.md works as it stands, and prints what it shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.support.certificates import tool
from tests.support.console import Step, run_steps, steps_of
from tests.support.program import ROOT
from tests.support.web_servers import free_port

DOCUMENT = (ROOT / "docs" / "DOWNLOADS.md").read_text()
VARIABLE = {
    r"dnl-[0-9a-z]{9}": r"dnl-[0-9a-z]{9}",
    r"\b[0-9a-f]{12}\b": r"[0-9a-f]{12}",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": r"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ",
    "…": ".*",
}


def pattern(lines: list[str]) -> str:
    """A pattern for what a step prints. `…` is anything in a line, and alone any lines."""
    found = "\n".join(map(re.escape, lines)).replace("\\-", "-")
    found = re.sub("^…\n", r"(?:.*\n)*", found, flags=re.MULTILINE)
    for shown, real in VARIABLE.items():
        found = re.sub(shown, real, found)
    return found


def with_waiting(steps: list[Step]) -> list[str]:
    """The commands; those that start a server wait until it listens."""
    port, commands = "", []
    for step in steps:
        port = (re.findall(r"127\.0\.0\.1[: ](\d+)", step.command) or [port])[-1]
        starts = re.match(r"nginx |python3 -m http\.server ", step.command)
        waits = f"\nuntil (: > /dev/tcp/127.0.0.1/{port}) 2> /dev/null; do sleep 0.1; done"
        commands.append(step.command + (waits if starts else ""))
    return commands


def test_the_walk_prints_what_it_shows(tmp_path: Path) -> None:
    """D1, D3-D9, D11, D12, H1-H4: documents 000 and 001 with our commands."""
    text = DOCUMENT
    for port in dict.fromkeys(re.findall(r"127\.0\.0\.1[: ](\d+)", text)):
        text = text.replace(port, str(free_port()))
    steps = steps_of(text)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CASYNC_", "XDG_"))}
    home, place = tmp_path / "home", tmp_path / "place"
    home.mkdir()
    place.mkdir()
    programs = [Path(sys.executable).parent, Path(tool("nginx", "nginx")).parent, kept["PATH"]]
    path = os.pathsep.join(map(str, programs))
    environment = {**kept, "HOME": str(home), "PATH": path, "NO_COLOR": "1", "TERM": "xterm"}
    for step, ran in zip(steps, run_steps(with_waiting(steps), place, environment), strict=True):
        printed = "\n".join(line.rstrip() for line in ran.lines)
        assert re.fullmatch(pattern(step.lines), printed), (step.command, printed)
    assert (list(home.iterdir()), list(place.iterdir())) == ([], [])
