"""Three consecutive releases of a project from PyPI, each unpacked into a tar."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from benchmarks.corpora.corpus import Corpus

LARGE = ("tensorflow-cpu", ("2.16.1", "2.16.2", "2.17.0"))
"""Some 600 MB a release, unpacked."""

SMALL = ("scipy", ("1.13.0", "1.13.1", "1.14.0"))
"""Some 110 MB."""

FILES = ("release-1.tar", "release-2.tar", "release-3.tar")


def build(folder: Path, scale: float) -> None:
    """Downloads the wheels by pip, and packs what is in them into tars."""
    project, versions = LARGE if scale >= 0.5 else SMALL
    for version, name in zip(versions, FILES, strict=True):
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        argv += ["--only-binary=:all:", "--python-version=3.11"]
        argv += ["--platform=manylinux2014_x86_64", "--platform=manylinux_2_17_x86_64"]
        subprocess.run([*argv, f"--dest={folder}", f"{project}=={version}"], check=True)
        (wheel,) = folder.glob("*.whl")
        pack(wheel, folder / name)
        wheel.unlink()


def pack(wheel: Path, out: Path) -> None:
    """Writes a tar of what is in a wheel: by name, without times and owners."""
    with zipfile.ZipFile(wheel) as source, tarfile.open(out, "w") as tar:
        for name in sorted(source.namelist()):
            entry = tarfile.TarInfo(name)
            entry.size = source.getinfo(name).file_size
            with source.open(name) as member:
                tar.addfile(entry, member)


RELEASES = Corpus(
    "releases",
    FILES,
    (
        ("releases, patch", FILES[0], FILES[1]),
        ("releases, minor", FILES[1], FILES[2]),
    ),
    build,
)
