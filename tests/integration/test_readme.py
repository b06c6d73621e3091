"""The tours in the README and docs/guide work as written, and leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from tests.support.certificates import tool

ROOT = Path(__file__).parents[2]
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]

SHELL = """
listening() {  # PORT: waits until a server listens there
  for _ in $(seq 600); do (: > /dev/tcp/127.0.0.1/$1) 2> /dev/null && return; sleep 0.1; done
  return 1
}
stop() { for job in $(jobs -p); do kill $job 2> /dev/null; done; wait; }
trap stop EXIT
curl() {  # -s [-r RANGE or --json BODY] URL; the tests must run where there is none
  "$PYTHON" -c 'import sys, urllib.request as u
*options, url = sys.argv[1:]
given = dict([options]) if options else {}
head = {"Range": "bytes=" + given["-r"]} if "-r" in given else {"Content-Type": "application/json"}
body = given["--json"].encode() if "--json" in given else None
sys.stdout.buffer.write(u.urlopen(u.Request(url, body, head)).read())
' "${@:2}"
}
"""


def script(text: str) -> str:
    """The commands of a page, with free ports and a wait after each start of a server."""
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    joined = "".join(
        code if language == "sh" else f"\"$PYTHON\" - <<'END'\n{code}END\n"
        for language, code in blocks
    )
    joined = re.sub(
        r"( serve)((?: --writable)? 2> .* &)$", r"\1 --listen 127.0.0.1:8080\2", joined, flags=re.M
    )
    for port in dict.fromkeys(re.findall(r"127\.0\.0\.1:(\d+)", joined)):
        joined = re.sub(rf"(127\.0\.0\.1[: ]){port}\b", rf"\g<1>{free_port()}", joined)
    return re.sub(
        r"^(.* serve .*--listen 127\.0\.0\.1:(\d+).*) &$",
        r"\1 & listening \2",
        joined,
        flags=re.M,
    )


def walk(text: str, folder: Path) -> str:
    """Runs a page in an empty folder and returns what it prints.

    Asserts that it succeeds, stops its servers, and leaves no file there or in the home folder.
    """
    commands = script(text)
    assert commands.count("& listening ") == len(re.findall(r" serve .*&$", text, re.M)) > 0
    home, place = folder / "home", folder / "place"
    home.mkdir()
    place.mkdir()
    foreign = ("CASYNC_", "XDG_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own |= {
        "PATH": f"{Path(sys.executable).parent}:{own['PATH']}",
        "PYTHON": sys.executable,
        "HOME": str(home),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=f'{SHELL}{commands}\ntest -z "$(jobs -rp)"\n',
        cwd=place,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (list(home.iterdir()), list(place.iterdir())) == ([], [])
    return done.stdout


def test_the_tour_of_the_readme_works(tmp_path: Path) -> None:
    tour = (ROOT / "README.md").read_text().split("## Five minutes", 1)[1].split("\n## ", 1)[0]
    out = walk(tour, tmp_path)
    assert re.match(r"([0-9a-f]{64}\t.*\tdisk@[12]\t\n){2}", out)
    assert "changed\t6\t8\tindex.html\t" in out


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_a_page_of_the_guide_works(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    if "\nopenssl " in text:
        tool("openssl", "openssl")
    out = walk(text, tmp_path)
    refused = re.findall(r"exit status (\d+)", out)
    assert len(refused) == text.count('|| echo "exit status $?"')
    for status in refused:
        assert f"exit status {status}" in text.split("```", 1)[0] + "".join(text.split("```")[2::2])


def test_the_readme_links_to_every_page_of_the_guide() -> None:
    linked = re.findall(r"\(docs/guide/(.*?)\)", (ROOT / "README.md").read_text())
    assert sorted(linked) == [page.name for page in GUIDE]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_document_lead_to_files_and_headings(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, heading = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, target
