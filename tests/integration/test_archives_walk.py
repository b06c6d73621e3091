"""docs/ARCHIVES.md: the walk prints what it shows, and the commands beside AIStore's run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.certificates import tool
from tests.support.console import pattern, run_steps, steps_of, with_waiting
from tests.support.program import ROOT
from tests.support.serving import serving
from tests.support.web_servers import free_port

TEXT = (ROOT / "docs" / "ARCHIVES.md").read_text()
BAR = re.compile(r"\x1b\[K(\w+ .*[\d%])?$")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a shell that has casync and curl, and a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CASYNC_", "XDG_"))}
    home = tmp_path / "home"
    home.mkdir()
    programs = [Path(sys.executable).parent, kept["PATH"], Path(tool("curl", "curl")).parent]
    path = os.pathsep.join(map(str, programs))
    return {**kept, "HOME": str(home), "PATH": path, "NO_COLOR": "1", "TERM": "xterm"}


def without_bars(lines: list[str]) -> list[str]:
    """Lines of a screen, without progress bars and what erases them."""
    shown = [line.rstrip().removeprefix("\x1b[K") for line in lines if not BAR.match(line)]
    erased = any("\x1b[K" in line for line in lines)
    return [line for line in shown if line or not erased]


def test_the_walk_prints_what_it_shows(tmp_path: Path, environment: dict[str, str]) -> None:
    """A1-A8: document 004 with our commands."""
    steps = steps_of(TEXT.replace("51063", str(free_port())))
    place = tmp_path / "place"
    place.mkdir()
    for step, ran in zip(steps, run_steps(with_waiting(steps), place, environment), strict=True):
        printed = "\n".join(without_bars(ran.lines))
        assert re.fullmatch(pattern(step.lines), printed), (step.command, printed)
    assert (os.listdir(environment["HOME"]), os.listdir(place)) == ([], [])


def test_the_commands_beside_those_of_aistore_run(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """A1-A5, A7, A8."""
    section = TEXT.split("## AIStore's commands and ours\n", 1)[1].split("\n## ", 1)[0]
    commands = re.findall(r"\| `((?:casync|curl) .*)` \|$", section, re.MULTILINE)
    assert len(commands) == len(re.findall(r"^\|", section, re.MULTILINE)) - 2
    store = tmp_path / "store"
    (tmp_path / "docs" / "tutorials").mkdir(parents=True)
    for name in ("README", "docs/a.md", "docs/tutorials/b.md"):
        (tmp_path / name).write_text(name)
    names = [*(f"src/obj-{n}" for n in range(6)), "src/aaa/777", "src/aaa/bbb/111"]
    prepared = [f"echo {name} | casync prepare - --name {name} -q" for name in names]

    def run(lines: list[str], url: str = "") -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail"],
            input="\n".join(lines),
            cwd=tmp_path,
            env={**environment, "CASYNC_STORE": str(store), "URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    local = [command for command in commands if command.startswith("casync")]
    run(prepared + local)
    assert (tmp_path / "out").read_text() == (tmp_path / "README").read_text()
    assert sorted(os.listdir(tmp_path / "www")) == ["a.md", "b.md", "in", "tutorials"]
    assert run(["casync archive ls dst/a.tar"]).split() == [f"src/obj-{n}" for n in range(6)]
    assert run(["casync archive ls dst/d.tar"]).split() == ["src/aaa/777"]
    with serving(store) as server:
        served = [command for command in commands if command not in local]
        assert run([f"{command} -f" for command in served], server.url).count("README") == 3
