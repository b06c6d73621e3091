"""A million small files, prepared, pulled twice and unpacked within bounds of memory.

`python -m tests.large.many_files [NUMBER]` makes them from a seed, a thousand in a folder. Memory
is checked at each step (`steps.py`); `diff -r` compares the copies. Needs space for three copies,
four KiB a file, and inodes: `make manyfiles`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.large.steps import YOUNG_SECONDS, output, serving, step

_SEED: Final = 20261121
_IN_A_FOLDER: Final = 1000
_CHANGED: Final = 1000


def main() -> None:
    """Runs all steps; an AssertionError says what is wrong."""
    parser = argparse.ArgumentParser(prog="manyfiles", description=__doc__)
    parser.add_argument("number", nargs="?", type=int, default=1_000_000)
    parser.add_argument(
        "--work", type=Path, default=Path("/var/tmp"), help="a folder with enough space"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casync-manyfiles-", dir=options.work) as folder:
        there_and_back(options.number, Path(folder))


def there_and_back(number: int, work: Path) -> None:
    """Makes the files in `work`, and runs all steps there."""
    tree, copy, store = work / "tree", work / "copy", work / "store"
    rng = random.Random(_SEED)
    for index in range(number):
        if index % _IN_A_FOLDER == 0:
            folder = tree / f"{index // _IN_A_FOLDER:04d}"
            folder.mkdir(parents=True)
        (folder / f"{index:07d}").write_bytes(rng.randbytes(rng.randrange(1, 2000)))
    time.sleep(YOUNG_SECONDS)
    print(f"{number} files, seed {_SEED}", flush=True)

    prepare = ("prepare", tree, "--name", "tree", "--store", store)
    assert step("prepare", *prepare)["files"] == number
    again = step("prepare again", *prepare)
    assert (again["unchanged"], again["new"]) == (number, 0)
    with serving(store) as url:
        pull = ("pull", "tree", "-o", copy, "--server", url, "--store", work / "mirror")
        assert step("pull", *pull)["files"] == number
        assert step("pull again", *pull)["files"] == 0
        for index in rng.sample(range(number), min(_CHANGED, number)):
            path = tree / f"{index // _IN_A_FOLDER:04d}" / f"{index:07d}"
            path.write_bytes(rng.randbytes(1500))
        step("prepare the changed one", *prepare)
        assert step("pull the changed one", *pull)["files"] == min(_CHANGED, number)
    output("diff", "-r", tree, copy)
    print("diff finds no difference")

    archive = work / "tree.tar"
    output("tar", "-C", tree, "--format=posix", "-cf", archive, ".")
    unpacked = step("unpack", "prepare", "--unpack", archive, "--store", work / "unpacked")
    assert unpacked["manifest"] == step("prepare the unpacked one", *prepare)["manifest"]


if __name__ == "__main__":
    main()
