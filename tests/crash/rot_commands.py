"""Run by test_rot.py: damages copies of a store and runs commands on them.

usage: rot_commands.py GOOD SCRATCH < CASES

GOOD is a store, SCRATCH an empty folder. Each line of stdin is a JSON list: a damage and a list of
command lines. For each, one line of JSON is printed: a list of [exit status, stdout in hex, stderr]
for each command, where a negative status is a signal. A damage is ["set", offset, hex] or
["cut", size].

Commands run in forked children, with everything imported already: start-up is most of what a
command costs. No store is open in the parent.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from casync_cli.start import run

for module in ("casync.api", "casync.ops.upkeep.verify", "casync_cli.main"):
    importlib.import_module(module)
for verb in ("cat", "pull", "verify"):
    importlib.import_module(f"casync_cli.commands.{verb}")


def damage(file: Path, good: bytes, what: list[str | int]) -> None:
    if what[0] == "cut":
        file.write_bytes(good[: int(what[1])])
        return
    data = bytearray(good)
    new = bytes.fromhex(str(what[2]))
    data[int(what[1]) : int(what[1]) + len(new)] = new
    file.write_bytes(data)


def outcome(arguments: list[str], scratch: Path) -> tuple[int, str, str]:
    """Runs one command in a child."""

    def command() -> None:
        sys.argv = ["casync", *arguments]
        run()

    return in_child(command, scratch)


def in_child(action: Callable[[], None], scratch: Path) -> tuple[int, str, str]:
    """Runs `action` in a forked child; returns its status, stdout in hex, and stderr."""
    paths = [scratch / "stdout", scratch / "stderr"]
    pid = os.fork()
    if not pid:
        for fd, path in enumerate(paths, 1):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), fd)
        status = 70
        try:
            action()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    out, err = (path.read_bytes() for path in paths)
    return os.waitstatus_to_exitcode(status), out.hex(), err.decode(errors="replace")


def main(good: Path, scratch: Path) -> None:
    data = (good / "data.mdb").read_bytes()
    store = scratch / "store"
    for line in sys.stdin:
        what, commands = json.loads(line)
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        damage(store / "data.mdb", data, what)
        results = [outcome([*command, "--store", str(store)], scratch) for command in commands]
        print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
