"""The walk in docs/DOWNLOADS.md works as it stands, and prints what it shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.support.certificates import tool
from tests.support.console import pattern, run_steps, steps_of, with_waiting
from tests.support.program import ROOT
from tests.support.web_servers import free_port

DOCUMENT = (ROOT / "docs" / "DOWNLOADS.md").read_text()


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
