"""What commands print and keep of an address with a password that was not encoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.program import Program
from tests.support.scripted_server import ScriptedServer, reply

WORDS = ("s3cr3t", "Tr0ub4dor")


@pytest.mark.parametrize("delimiter", ["/", "?", "#", "@", "["])
def test_no_command_shows_a_part_of_a_password(program: Program, delimiter: str) -> None:
    """D2, D10."""
    with ScriptedServer(lambda _: reply(404)) as server:
        host = server.url.removeprefix("http://")
        address = f"http://user:{delimiter.join(WORDS)}@{host}/a"
        commands = (
            ["get", address, "-o", "-"],
            ["get", address.upper(), "-o", "-"],
            ["get", address.removeprefix("http://"), "-o", "-"],
            ["ls", f"{address}/"],
            ["prepare", address],
            ["download", address, "ds/", "--timeout", "1s"],
            ["download", address, "ds/", "--server", server.url],
            ["download", f"{address}-{{0..3}}", "ds/", "--dry-run"],
            ["download", f"http://{host}/", address],
            ["pull", "name", "--server", address, "-o", "x"],
            ["publish", "name", address.replace("http", "s3")],
            ["ls", "--store", address.replace("http", "s3")],
            ["job", "ls"],
            ["job", "show", "-v"],
            ["job", "ls", "--json"],
        )
        shown = [program.run(*words) for words in commands]
    told = "\n".join(f"{ran.out.decode()}\n{ran.err}" for ran in shown)
    assert not [word for word in WORDS if word.lower() in told.lower()], told
    kept = b"".join(path.read_bytes() for path in files(program.home))
    assert not [word for word in WORDS if word.encode() in kept]


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]
