"""The folder of a suite, on tmpfs or on a disk, with a place for each contender."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cache import cache_folder
from benchmarks.peers.contender import Contender, Place
from benchmarks.servers import Origin

MEMORY = Path("/dev/shm")
BLOCK = bytes(range(256)) * 4096


class Scene:
    """One folder, removed at the end.

    Attributes:
        folder: The folder.
        files: The corpus' files; served below /files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served = folder / "www"
        self.files = self.served / "files"
        self.files.mkdir(parents=True)
        self.out = folder / "out"
        self.out.mkdir()
        self.origin = Origin(self.served, folder / "servers")

    def bring(self, *paths: Path) -> list[Path]:
        """Copies files here, with their holes."""
        return [copy(path, self.files / path.name) for path in paths]

    def place_of(self, contender: Contender) -> Place:
        """A contender's place."""
        slug = re.sub(r"[^a-z0-9]+", "-", contender.name.lower()).strip("-")
        return Place(self.served / slug, self.folder / slug, slug)

    def place(self, contender: Contender) -> Place:
        """A contender's place, new and empty."""
        place = self.place_of(contender)
        self.clear(place)
        place.served.mkdir()
        place.local.mkdir()
        return place

    def clear(self, place: Place) -> None:
        """Removes all of a contender's place."""
        shutil.rmtree(place.served, ignore_errors=True)
        shutil.rmtree(place.local, ignore_errors=True)

    def target(self, suffix: str) -> Path:
        """A path for a result, in an empty folder."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        return self.out / f"result{suffix}"

    def names(self) -> dict[Path, str]:
        """Placeholders for the folders of the run in command lines."""
        here, home = Path(__file__).parents[1], Path.home()
        return {self.folder: "$RUN", cache_folder(): "$CACHE", here: "$HERE", home: "~"}


@contextmanager
def scene(base: Path = MEMORY, warm_bytes: int = 0) -> Iterator[Scene]:
    """Opens a scene, after touching the memory that it will use."""
    with tempfile.TemporaryDirectory(dir=base, prefix="casync-bench-") as folder:
        if warm_bytes:
            warm(Path(folder) / "warm", warm_bytes)
        yield Scene(Path(folder))


def warm(path: Path, count: int) -> None:
    """Writes and removes bytes: in a virtual machine, first use of memory is slow."""
    with path.open("wb") as file:
        for _ in range(count // len(BLOCK)):
            file.write(BLOCK)
    path.unlink()


def copy(source: Path, target: Path) -> Path:
    """Copies a file with its holes and its time."""
    argv = ["cp", "--sparse=always", "--preserve=timestamps", str(source), str(target)]
    subprocess.run(argv, check=True)
    return target


def used_bytes(path: Path) -> int:
    """Bytes on disk below a path."""
    if path.is_file():
        return path.stat().st_blocks * 512
    return sum(
        Path(folder, name).lstat().st_blocks * 512
        for folder, _, names in os.walk(path)
        for name in names
    )


def data_bytes(path: Path) -> int:
    """Bytes of a file that are not holes."""
    return sum(end - begin for begin, end in data_ranges(path))


def data_ranges(path: Path) -> Iterator[tuple[int, int]]:
    """The ranges of a file that are not holes."""
    with path.open("rb") as file:
        at = 0
        while True:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # the rest is a hole
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            yield begin, at


def write_data(source: Path, target: Path) -> Path:
    """Writes the ranges that are not holes, in order."""
    with source.open("rb") as reader, target.open("wb") as writer:
        for begin, end in data_ranges(source):
            reader.seek(begin)
            while begin < end:
                piece = reader.read(min(end - begin, len(BLOCK)))
                writer.write(piece)
                begin += len(piece)
    return target
