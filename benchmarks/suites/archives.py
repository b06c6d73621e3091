"""Archives that grow by a megabyte, a hundred times: by append, and by rewriting and preparing."""

from __future__ import annotations

import json
import random
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.measure import Command, Run
from benchmarks.peers.contender import Place
from benchmarks.peers.tool import MissingError, Tool, find
from benchmarks.scene import Scene, used_bytes

MIBS = 1024
"""Mebibytes of the archive at full scale."""

APPENDS = 100
REWRITES = 3
"""Appends by rewriting: each costs the whole archive, so a few show what one costs."""

NEW_BYTES = 10**6
TAR = Tool("tar", r"tar \(GNU tar\) (\S+)", "apt install tar")
ZIP = Tool("zip", r"This is Zip (\S+)", "apt install zip", ("-v",))
GZIP = Tool("gzip", r"gzip (\S+)", "apt install gzip")

_GROW_MAP = (
    "import sys, msgspec, pathlib; file = pathlib.Path(sys.argv[1]);"
    " content = msgspec.msgpack.decode(file.read_bytes());"
    " content[sys.argv[2]] = pathlib.Path(sys.argv[2]).read_bytes();"
    " file.write_bytes(msgspec.msgpack.encode(content))"
)


@dataclass(frozen=True)
class Format:
    """A format, and how its ordinary program appends to a local file.

    Attributes:
        ending: The end of the name.
        label: What the ordinary way is called.
        tools: The programs that it needs.
        script: A shell script, with places for programs, archive and file.
    """

    ending: str
    label: str
    tools: tuple[Tool, ...]
    script: str

    def grown(self, archive: Path, file: Path) -> str:
        """The script that appends a file.

        Raises:
            MissingError: A program is not on this machine.
        """
        found = {tool.command: shlex.quote(str(find(tool).path)) for tool in self.tools}
        python = shlex.join([sys.executable, "-c", _GROW_MAP])
        return self.script.format(
            **found,
            python=python,
            archive=shlex.quote(str(archive)),
            file=shlex.quote(file.name),
        )


FORMATS = (
    Format("tar", "tar rf", (TAR,), "{tar} -rf {archive} {file}"),
    Format(
        "tgz",
        "gzip -d, tar rf, gzip",
        (TAR, GZIP),
        "{gzip} -dc {archive} > {archive}.tar && {tar} -rf {archive}.tar {file}"
        " && {gzip} -nc {archive}.tar > {archive} && rm {archive}.tar",
    ),
    Format("zip", "zip -0", (ZIP,), "{zip} -q0 {archive} {file}"),
    Format("msgpack", "decode and encode", (), "{python} {archive} {file}"),
)


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    length = max(4, round(MIBS * bench.choices.scale))
    bench.sheet.note(
        f"archives: {length} members of 1 MiB, incompressible, on tmpfs; {APPENDS} files of 1 MB"
        " are appended, each by a command of its own, which becomes a version in the store. Beside"
        f" `casync archive append` stand programs that append to a local file, {REWRITES} times,"
        " and `casync prepare` of that file. Figures are those of one append: seconds, and the"
        " bytes that it adds to the store. The first tgz that gzip writes shares nothing with that"
        " of casync; the next ones do, as far as deflate leaves them alike"
    )
    with bench.scene(4 * length * MIB) as where:
        folder = members(where.files / "members", length)
        for one in FORMATS:
            grow(bench, where, one, folder)


def members(folder: Path, count: int) -> Path:
    """Writes the members of the archive."""
    maker = random.Random(count)
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.bin").write_bytes(maker.randbytes(MIB))
    return folder


def new_files(folder: Path, label: str, count: int) -> Iterator[Path]:
    """Files to append, one after the other. Those of two labels share nothing."""
    maker = random.Random(label)
    for number in range(count):
        path = folder / f"{label}-{number:03}.bin"
        path.write_bytes(maker.randbytes(NEW_BYTES))
        yield path


def grow(bench: Bench, where: Scene, one: Format, folder: Path) -> None:
    """One format, in both ways."""
    ours = bench.ours
    place = where.place(ours)
    store, name = ours.stored(place), f"shards/0001.{one.ending}"
    bench.quietly([ours.command(store, "archive", "create", name, f"{folder}/", "-q")])
    before = used_bytes(store)
    case = f"append 1 MB: {one.ending}"
    for path in new_files(where.out, "new", APPENDS):
        command = ours.command(store, "archive", "append", name, path, "--json")
        bench.measure(case, ours, command, where, after=stored)
    bench.sheet.note(
        f"{one.ending}: {APPENDS} appends made the store larger by"
        f" {(used_bytes(store) - before) / 10**6:.1f} MB, with their indexes of members"
    )
    rewrite(bench, where, one, place, name)
    where.clear(place)


def rewrite(bench: Bench, where: Scene, one: Format, place: Place, name: str) -> None:
    """The ordinary program on a local copy, which is prepared each time, in the same store."""
    ours = bench.ours
    store, local = ours.stored(place), place.local / f"local.{one.ending}"
    bench.quietly([ours.command(store, "cat", f"{name}@1", stdout=local)])
    label = f"{one.label}, casync prepare"
    for path in new_files(where.out, "again", REWRITES):
        try:
            script = one.grown(local, path)
        except MissingError as missing:
            bench.sheet.note(f"{one.ending}: {missing}")
            break
        prepare = ours.command(store, "prepare", local, "--name", f"local/{name}", "--json")
        words = shlex.join(str(word) for word in prepare.argv)
        command = Command(
            ("/bin/sh", "-c", f"{script} && {words}"),
            cwd=path.parent,
            env=prepare.env,
        )
        bench.measure(f"append 1 MB: {one.ending}", ours, command, where, name=label, after=stored)
    shutil.rmtree(where.out, ignore_errors=True)
    where.out.mkdir()


def stored(done: Run) -> dict[str, float | None]:
    """The bytes that a command has added to the store, as it says."""
    return {"stored": float(json.loads(done.out)["stored"])}
