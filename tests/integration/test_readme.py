"""The tour of the README works as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.servers import free_port
from tests.support.certificates import tool

ROOT = Path(__file__).parents[2]


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


SHELL = """
listening() {  # PORT: waits until somebody listens there
  for _ in $(seq 600); do (: > /dev/tcp/127.0.0.1/$1) 2> /dev/null && return; sleep 0.1; done
  return 1
}
trap 'kill $(jobs -p) && wait' EXIT
curl() {  # -s -r RANGE URL; the tests must run where there is none
  "$PYTHON" -c 'import sys, urllib.request as u
print(u.urlopen(u.Request(sys.argv[2], headers={"Range": "bytes=" + sys.argv[1]})).read().decode())
' "$3" "$4"
}
"""


def bash(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=SHELL + script,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_free_ports(script: str) -> str:
    """The script with ports that nobody has, and servers waited for when they are started."""
    script = script.replace("serve --writable &", "serve --writable --listen 127.0.0.1:8080 &")
    for port in dict.fromkeys(re.findall(r"127\.0\.0\.1:(\d+)", script)):
        script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    return re.sub(
        r"^(.* serve .*--listen 127\.0\.0\.1:(\d+).*) &$",
        r"\1 &\nlistening \2",
        script,
        flags=re.M,
    )


def test_the_tour(tmp_path: Path) -> None:
    tool("openssl", "openssl")
    script = on_free_ports(blocks("sh"))
    assert script.count("\nlistening ") == 3
    out = bash(script, tmp_path)
    assert re.match(r"[0-9a-f]{64}\tdisk\n", out)
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
