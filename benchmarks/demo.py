"""Real data from end to end: two versions prepared, served, pulled, compared. See `make demo`.

Version 1 is a tar of files of this machine, version 2 the same with files edited, inserted and
removed. Everything lies in a temporary folder of the project, which is removed at the end. Uses
nothing of casync but its command line.
"""

from __future__ import annotations

import filecmp
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

MB = 10**6
WANTED = 300 * MB
"""Bytes of files in version 1, if the machine has that many."""
ENOUGH = 200 * MB
LARGEST_FILE = 4 * MB
"""Bytes. Larger files are left out, so the tar holds many files."""

ROOT = Path(__file__).parents[1]
CASYNC = Path(sys.executable).parent / "casync"
PLACES = [Path("/usr/lib"), Path("/usr/share"), Path("/usr/bin"), Path(sys.prefix)]

EDITED = 50  # every 50th file gets a line in its middle
REMOVED = 200  # every 200th is not in version 2
INSERTED = 150  # a new file before every 150th


class Line(NamedTuple):
    """One line of the table: sizes in bytes, times in seconds."""

    version: str
    size: int
    chunks: int
    prepare: float
    transferred: int
    pull: float


def main() -> int:
    """Runs the demonstration.

    Returns:
        The exit status: 0 when both versions came out as they went in.
    """
    signal.signal(signal.SIGTERM, stop)
    below = ROOT / ".demo"
    below.mkdir(exist_ok=True)
    if shutil.disk_usage(below).free < 6 * WANTED:
        print(f"{below} needs {6 * WANTED // MB} MB of free space", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(dir=below) as folder:
        run = Run(Path(folder))
        versions = make_versions(Path(folder))
        lines = list(replicate(run, versions))
    print_table(lines)
    return 0


def stop(number: int, _frame: object) -> NoReturn:
    """Handles a signal like an error: stops the server, removes the folder."""
    raise SystemExit(128 + number)


class Run:
    """Runs casync commands below one folder, away from the user's own store and configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("CASYNC_")
        } | {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_DATA_HOME": str(folder / "data"),
        }

    def json(self, *arguments: str | Path) -> tuple[dict[str, Any], float]:
        """Runs one command; returns its document, and the seconds from start to end."""
        print("$ casync", *(shown(argument) for argument in arguments), flush=True)
        begin = time.monotonic()
        done = subprocess.run(
            [CASYNC, *arguments, "--json", "--quiet"],
            env=self._environment,
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"casync ended with {done.returncode}")
        return json.loads(done.stdout), time.monotonic() - begin

    @contextmanager
    def server(self, store: Path) -> Iterator[str]:
        """Serves a store on a free port of 127.0.0.1, and ends the server by its process id."""
        log = self.folder / "server.log"
        arguments: list[str | Path] = ["--store", store, "serve", "--listen", "127.0.0.1:0"]
        print("$ casync", *(shown(argument) for argument in arguments), "&", flush=True)
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [CASYNC, *arguments], env=self._environment, stdout=stderr, stderr=stderr
            )
        try:
            while not (found := re.search(rb" on (http://\S+)", log.read_bytes())):
                if process.poll() is not None:
                    raise SystemExit(f"the server ended:\n{log.read_text()}")
                time.sleep(0.05)
            yield found[1].decode()
        finally:
            process.terminate()
            process.wait()


def shown(argument: str | Path) -> str:
    """The last component of a path; other arguments unchanged."""
    return argument.name if isinstance(argument, Path) else argument


def replicate(run: Run, versions: list[Path]) -> Iterator[Line]:
    """Prepares all versions, then pulls them into another store, one after the other."""
    here, there = run.folder / "here", run.folder / "there"
    prepared = [run.json("--store", here, "prepare", path) for path in versions]
    with run.server(here) as url:
        for path, (was, prepare_seconds) in zip(versions, prepared, strict=True):
            copy = run.folder / f"copy-of-{path.name}"
            pulled, seconds = run.json(
                "--store", there, "pull", was["manifest"], "-o", copy, "--server", url
            )
            if not filecmp.cmp(path, copy, shallow=False):
                raise SystemExit(f"{copy.name} is not {path.name}")
            print(f"  {copy.name} equals {path.name}", flush=True)
            yield Line(
                path.stem,
                path.stat().st_size,
                was["chunks"],
                prepare_seconds,
                pulled["received"] + pulled["sent"],
                seconds,
            )


def make_versions(folder: Path) -> list[Path]:
    """Writes both tars."""
    paths = [folder / "version-1.tar", folder / "version-2.tar"]
    total = files = edited = removed = inserted = 0
    with tarfile.open(paths[0], "w") as old, tarfile.open(paths[1], "w") as new:
        for path, data in real_files():
            name = str(path).lstrip("/")
            add(old, name, data)
            files += 1
            total += len(data)
            if files % INSERTED == 0:
                inserted += 1
                add(new, f"{name}.new", fresh_bytes(name, len(data)))
            if files % REMOVED == 0:
                removed += 1
                continue
            if files % EDITED == 0:
                edited += 1
                middle = len(data) // 2
                data = data[:middle] + b"one line more in version 2\n" + data[middle:]
            add(new, name, data)
            if total >= WANTED:
                break
    if total < ENOUGH:
        raise SystemExit(f"only {total // MB} MB of files on this machine; {ENOUGH // MB} wanted")
    print(f"version 1: {files} files, {total // MB} MB, of {PLACES[0]} and so on")
    print(f"version 2: {edited} of them edited, {removed} removed, {inserted} inserted\n")
    return paths


def real_files() -> Iterator[tuple[Path, bytes]]:
    """Yields files of this machine with their bytes, in a fixed order."""
    for place in PLACES:
        for folder, below, names in os.walk(place):
            below.sort()
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    if path.is_symlink() or not 0 < path.stat().st_size <= LARGEST_FILE:
                        continue
                    yield path, path.read_bytes()
                except OSError:
                    continue  # not readable


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Appends a file to `tar`."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def fresh_bytes(label: str, size: int) -> bytes:
    """Unique incompressible bytes: the most expensive kind to transfer."""
    return hashlib.shake_128(label.encode()).digest(min(size, 200_000))


def print_table(lines: list[Line]) -> None:
    """Prints the measurements."""
    print()
    print("             size MB    chunks   prepare s   transferred MB   of the size   pull s")
    for line in lines:
        print(
            f"{line.version:10} {line.size / MB:9.1f} {line.chunks:9d} {line.prepare:11.2f}"
            f" {line.transferred / MB:16.2f} {line.transferred / line.size:12.1%}"
            f" {line.pull:8.2f}"
        )
    print("\nBoth copies are equal to their originals, byte by byte.")


if __name__ == "__main__":
    sys.exit(main())
