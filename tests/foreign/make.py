"""Makes archives with the Go and the Java of this machine, and reads them: `make foreign`.

`python -m tests.foreign.make tests/foreign/made` replaces those that `make test` reads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.foreign.judge import expected_members, judge

_HERE = Path(__file__).parent


def main() -> None:
    """Makes and judges all; an AssertionError says what is wrong."""
    with tempfile.TemporaryDirectory(prefix="casync-foreign-") as work:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else work).absolute()
        _run("go", "run", ".", folder, place=_HERE / "go")
        _run("jar", "--create", "--file", folder / "java-jar.jar", "-C", _HERE / "go", ".")
        _run("javac", "-d", work, _HERE / "java" / "MakeArchives.java")
        _run("java", "-cp", work, "MakeArchives", folder)
        for name, members in expected_members(folder).items():
            judge(folder / name, members)
            print(f"{name}: {len(members)} members")


def _run(*command: str | Path, place: Path = _HERE) -> None:
    subprocess.run(command, cwd=place, check=True)


if __name__ == "__main__":
    main()
