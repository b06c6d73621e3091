"""Many files from a web server: once into nothing, and again when nothing is new."""

from __future__ import annotations

import filecmp
import json
import random
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import Run
from benchmarks.peers.aria2 import Aria2
from benchmarks.peers.contender import Contender, Download
from benchmarks.peers.ours import Ours
from benchmarks.peers.rclone import Rclone
from benchmarks.scene import Scene
from benchmarks.servers import Server
from benchmarks.targets import LOCAL

PEERS = (Ours, Rclone, Aria2)
READ_BACK = 20
"""Files that are read from our store and compared; the command checks all of them itself."""


@dataclass(frozen=True)
class Files:
    """Files of one size.

    Attributes:
        label: What they are called.
        count: How many at full scale.
        size: The bytes of each.
    """

    label: str
    count: int
    size: int

    def write(self, folder: Path, scale: float) -> list[Path]:
        """Writes incompressible files, no two of which share anything."""
        maker = random.Random(self.size)
        folder.mkdir()
        paths = [folder / f"{number:05}.bin" for number in range(max(1, round(self.count * scale)))]
        for path in paths:
            path.write_bytes(maker.randbytes(self.size))
        return paths


CORPORA = (
    Files("200 files of 5 MB", 200, 5_000_000),
    Files("20,000 files of 20 KB", 20_000, 20_000),
)


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "downloads: incompressible files from one nginx over HTTP, on tmpfs, into a new store or a"
        " new folder of the same file system; aria2c is given the list of addresses, the others"
        " list the folder. Memory is that of one run on a disk, where maps of the store are not"
        " counted. What cutting, hashing and storing the same bytes take without a network is that"
        " of `casync prepare` of the folder"
    )
    for files in CORPORA:
        length = round(files.count * files.size * bench.choices.scale)
        with bench.scene(3 * length) as where:
            download(bench, where, files, bench.choices.rounds)
        with bench.scene(on_disk=True) as where:
            download(bench, where, files, 1, for_memory=True)


def download(
    bench: Bench, where: Scene, files: Files, rounds: int, *, for_memory: bool = False
) -> None:
    """All contenders on one kind of files: their time, or once their memory."""
    originals = files.write(where.files / "many", bench.choices.scale)
    listed = where.folder / "addresses"
    label = "memory, " if for_memory else ""
    with where.origin.web() as server:
        addresses = [f"{server.url}/files/many/{path.name}\n" for path in originals]
        listed.write_text("".join(addresses))
        for number, peer in bench.rounds(bench.some(*PEERS), rounds):
            out = where.target("")
            task = Download(f"{server.url}/files/many/", listed, out)
            for way in ("new", "again"):
                task = replace(task, again=way == "again")
                case = f"{label}{way}: {files.label}"
                before = fetched(server)
                done = bench.measure(case, peer, peer.download(task), where, sample=for_memory)
                if done is None:
                    break
                wanted = 0 if task.again else len(originals)
                assert fetched(server) - before == wanted, (case, peer.name)
                if isinstance(peer, Ours):
                    assert counted(done) == (len(originals), len(originals) - wanted)
                if number == 0 and not task.again:
                    compare(peer, out, originals)
            shutil.rmtree(out, ignore_errors=True)
            if isinstance(peer, Ours):
                local = peer.command(out, "--json", "prepare", where.files / "many")
                bench.measure(
                    f"{label}new: {files.label}",
                    peer,
                    local,
                    where,
                    sample=for_memory,
                    name=LOCAL,
                )
                shutil.rmtree(out)


def fetched(server: Server) -> int:
    """The files that a web server has sent so far, according to its log."""
    return sum(
        '"GET /' in line and '.bin HTTP/1.1" 200 ' in line
        for line in server.log.read_text().splitlines()
    )


def counted(done: Run) -> tuple[int, int]:
    """The files that our command says it is done with, and those of them that it skipped."""
    said = json.loads(done.out)
    return said["finished_cnt"] - said["error_cnt"], said["skipped_cnt"]


def compare(peer: Contender, out: Path, originals: list[Path]) -> None:
    """Compares what a contender got with the originals."""
    if not isinstance(peer, Ours):
        for path in originals:
            assert filecmp.cmp(path, out / path.name, shallow=False), path.name
        return
    for path in originals[:: max(1, len(originals) // READ_BACK)]:
        command = peer.command(out, "cat", f"files/{path.name}")
        read = subprocess.run(
            [str(word) for word in command.argv], stdout=subprocess.PIPE, check=True
        )
        assert read.stdout == path.read_bytes(), path.name
