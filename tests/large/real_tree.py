"""A real tree, there and back: prepared, pulled as root, and compared by rsync.

`python -m tests.large.real_tree` works on a copy of /usr, with rare kinds of entries added. rsync
compares the copies; the run first proves that rsync sees a changed byte, mode, attribute and time.
Needs root, rsync, attr, acl, and space for three copies: `make realtree`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.large.steps import YOUNG_SECONDS, count, output, serving, step

_WANTED: Final = 100_000
_SEED: Final = 20261121
_CHANGED: Final = 300


def main() -> None:
    """Runs all steps; an AssertionError says what is wrong."""
    parser = argparse.ArgumentParser(prog="realtree", description=__doc__)
    parser.add_argument("source", nargs="?", type=Path, default=Path("/usr"))
    parser.add_argument(
        "--work", type=Path, default=Path("/var/tmp"), help="a folder with enough space"
    )
    options = parser.parse_args()
    assert os.geteuid() == 0, "owners and devices are for root"
    with tempfile.TemporaryDirectory(prefix="casync-realtree-", dir=options.work) as folder:
        there_and_back(options.source, Path(folder))


def there_and_back(source: Path, work: Path) -> None:
    """Copies `source` into `work`, and runs all steps there."""
    tree, copy, store = work / "tree", work / "copy", work / "store"
    output("cp", "-a", "--reflink=auto", source, tree)
    _add_rarities(tree / "rarities")
    time.sleep(YOUNG_SECONDS)
    entries = count(tree)
    print(f"{entries} entries of {source}, seed {_SEED}", flush=True)
    assert entries >= _WANTED or source != Path("/usr"), "too few: install more, or name a folder"

    prepare = ("prepare", tree, "--name", "tree", "--store", store)
    step("prepare", *prepare)
    assert step("prepare again", *prepare)["new"] == 0
    with serving(store) as url:
        pull = ("pull", "tree", "-o", copy, "--exact", "--server", url, "--store", work / "mirror")
        step("pull --exact", *pull)
        assert differences(tree, copy) == []
        assert step("pull again", *pull)["files"] == 0
        _change(tree, random.Random(_SEED))
        assert differences(tree, copy)
        step("prepare the changed one", *prepare)
        step("pull the changed one", *pull, "--delete")
        assert differences(tree, copy) == []
        _prove_the_judge(tree, copy)
        step("pull over the damage", *pull, "--delete")
        assert differences(tree, copy) == []
    print("rsync finds no difference, and found each that was made")


def differences(tree: Path, copy: Path) -> list[str]:
    """What rsync would do to make `copy` what `tree` is, content and metadata."""
    command = ("rsync", "-aHAXn", "--checksum", "--delete", "-i", f"{tree}/", f"{copy}/")
    return output(*command).splitlines()


def _add_rarities(folder: Path) -> None:
    folder.mkdir()
    (folder / "first").write_bytes(b"one of two names")
    (folder / "second").hardlink_to(folder / "first")
    os.mkfifo(folder / "pipe", 0o640)
    os.mknod(folder / "null", 0o600 | 0o020000, os.makedev(1, 3))
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"an island")
    (folder / "setuid").write_bytes(b"#!/bin/sh\n")
    os.chown(folder / "setuid", 12, 34)
    (folder / "setuid").chmod(0o4755)
    (folder / "dangling").symlink_to("nowhere/at all")
    (folder / "attributes").write_bytes(b"with attributes")
    os.setxattr(folder / "attributes", "user.note", b"\0any bytes\xff")
    os.setxattr(folder / "attributes", "security.note", b"for root")
    output("setfacl", "-m", "u:12:rw,g:34:r", folder / "attributes")
    output("setfacl", "-d", "-m", "u:12:rwx", folder)
    (folder / os.fsdecode(b"not \xff utf-8\n")).write_bytes(b"a name of bytes")


def _change(tree: Path, rng: random.Random) -> None:
    """Changes some files in each way that files change."""
    files = sorted(p for p in tree.rglob("*") if p.is_file() and not p.is_symlink())
    ways: list[Callable[[Path], object]] = [
        lambda path: path.write_bytes(path.read_bytes() + b"\nappended\n"),
        lambda path: path.write_bytes(b"inserted\n" + path.read_bytes()),
        lambda path: path.write_bytes(rng.randbytes(20_000)),
        lambda path: path.chmod(0o600),
        lambda path: os.utime(path, ns=(1, 1_234_567_890_123_456_789)),
        lambda path: os.chown(path, 1234, 4321),
        lambda path: os.setxattr(path, "user.changed", b"yes"),
        lambda path: path.rename(path.with_name(path.name + ".renamed")),
        lambda path: path.unlink(),
        lambda path: shutil.copy2(path, path.with_name(path.name + ".copy")),
    ]
    for number, path in enumerate(rng.sample(files, min(_CHANGED, len(files)))):
        ways[number % len(ways)](path)


def _prove_the_judge(tree: Path, copy: Path) -> None:
    """Changes one thing of one file at a time, which rsync must report, and nothing else."""
    victim = copy / "rarities" / "attributes"
    status = victim.stat()
    content, note = victim.read_bytes(), os.getxattr(victim, "user.note")

    def keep_time() -> None:
        os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))

    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "byte": (
            lambda: victim.write_bytes(content.replace(b"with", b"With")),
            lambda: victim.write_bytes(content),
        ),
        "mode": (
            lambda: victim.chmod(status.st_mode ^ 0o1),
            lambda: victim.chmod(status.st_mode),
        ),
        "attribute": (
            lambda: os.setxattr(victim, "user.note", b"other bytes"),
            lambda: os.setxattr(victim, "user.note", note),
        ),
    }
    for kind, (change, undo) in ways.items():
        change()
        keep_time()
        _expect(differences(tree, copy), kind)
        undo()
        keep_time()
        assert differences(tree, copy) == []
    os.utime(victim, ns=(0, status.st_mtime_ns + 5_000_000_000))
    _expect(differences(tree, copy), "time")
    victim.write_bytes(content.replace(b"with", b"With"))
    keep_time()


def _expect(lines: list[str], kind: str) -> None:
    assert len(lines) == 1, (kind, lines)
    assert lines[0].endswith("rarities/attributes"), (kind, lines)
    print(f"rsync sees a changed {kind}: {lines[0].split()[0]}", flush=True)


if __name__ == "__main__":
    main()
