"""The tour of the README works as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVE = "casync --store origin serve --writable &\n"
ADDRESS = "http://127.0.0.1:8080"


def blocks(language: str) -> str:
    """The code of the tour in one language."""
    text = (ROOT / "README.md").read_text()
    tour = text.split("## Five minutes", 1)[1].split("\n## ", 1)[0]
    return "".join(re.findall(rf"^```{language}\n(.*?)^```$", tour, re.MULTILINE | re.DOTALL))


def environment(folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("CASYNC_")}
    path = f"{Path(sys.executable).parent}:{own['PATH']}"
    return own | {
        "PATH": path,
        "PYTHON": sys.executable,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The tour's server, on a port that is free."""
    command = [*SERVE.removesuffix(" &\n").split(), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [Path(sys.executable).parent / command[0], *command[1:]],
        cwd=folder,
        env=environment(folder),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        try:
            for line in process.stderr:
                if found := re.search(r" on (http://\S+)", line):
                    yield found[1]
                    break
        finally:
            process.terminate()
            process.communicate()


CURL = """
curl() {  # -s -r RANGE URL; the tests must run where there is none
  "$PYTHON" -c 'import sys, urllib.request as u
print(u.urlopen(u.Request(sys.argv[2], headers={"Range": "bytes=" + sys.argv[1]})).read().decode())
' "$3" "$4"
}
"""


def bash(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=CURL + script,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tour(tmp_path: Path) -> None:
    before, after = blocks("sh").split(SERVE)
    bash(f"{before}\necho V1=$V1 V2=$V2 > hashes", tmp_path)
    hashes = (tmp_path / "hashes").read_text()
    assert re.fullmatch(r"V1=[0-9a-f]{64} V2=[0-9a-f]{64}\n", hashes)
    with served(tmp_path) as url:
        out = bash(hashes + after.replace(ADDRESS, url), tmp_path)
    assert out.count("inserted\n") == 2
    python = subprocess.run(
        [sys.executable, "-c", blocks("python")],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert python.stdout == "b'inserted\\n'\n"
