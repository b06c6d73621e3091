"""Programs for tests from Debian packages that are unpacked, not installed.

They are fetched once, to a folder of the user's cache. Where apt cannot get them, the tests that
need them are skipped and counted. `python3 -m tests.support.debian` fetches all of them.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SWIFT = ("swift-proxy", "swift-account", "swift-container", "swift-object", "memcached")
FAKETIME = ("libfaketime",)
COMPOSE = ("docker-compose",)
NTFS = ("ntfs-3g",)
NGINX = ("nginx-light",)
APACHE = ("apache2-bin",)
MKFS = {"btrfs": ("btrfs-progs",), "xfs": ("xfsprogs",)}
LIBARCHIVE = ("libarchive-tools",)
INFO_ZIP = ("zip", "unzip")
SEVEN_ZIP = ("p7zip-full",)
ZSTD = ("zstd",)
LZ4 = ("lz4",)
PIGZ = ("pigz",)
CEPH = ("ceph-mon", "ceph-osd", "radosgw", "ceph-common", "ceph-base")
CHROMIUM = ("chromium", "fonts-dejavu-core")


class UnavailableError(Exception):
    """Packages are not available; the text says why."""


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """The folder into which packages, and their dependencies that are not installed, are unpacked.

    Args:
        name: What the folder is called.
        packages: Their names.

    Raises:
        UnavailableError: They are not available.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(home, "casync-tests", name)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with (root.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not root.exists():
                with tempfile.TemporaryDirectory(dir=root.parent) as folder:
                    _unpack(Path(folder), packages)
                    (Path(folder) / "root").rename(root)
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", b"") or b""
        reason = output.decode(errors="replace").strip().rpartition("\n")[2] or str(error)
        raise UnavailableError(f"apt cannot get {' '.join(packages)}: {reason}") from error
    return root


def compose_schema() -> Path:
    """The JSON schema of compose files, as Debian 12 has it.

    Raises:
        UnavailableError: It is not available; later releases have none.
    """
    root = unpacked("compose", COMPOSE)
    path = root / "usr/lib/python3/dist-packages/compose/config/compose_spec.json"
    if not path.exists():
        raise UnavailableError("the docker-compose of this Debian has no schema in it")
    return path


def _unpack(folder: Path, packages: Sequence[str]) -> None:
    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        return done.stdout.decode()

    simulation = ("install", "-s", "-o", "Debug::NoLocking=1", "--reinstall")
    plan = run("apt-get", *simulation, "--no-install-recommends", *packages)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    run("apt-get", "download", *names)
    for package in folder.glob("*.deb"):
        run("dpkg", "-x", package, folder / "root")


if __name__ == "__main__":
    try:
        wanted = {
            "swift": SWIFT,
            "faketime": FAKETIME,
            "compose": COMPOSE,
            "ntfs": NTFS,
            "nginx": NGINX,
            "apache": APACHE,
            **MKFS,
            "libarchive": LIBARCHIVE,
            "info-zip": INFO_ZIP,
            "7zip": SEVEN_ZIP,
            "zstd": ZSTD,
            "lz4": LZ4,
            "pigz": PIGZ,
            "chromium": CHROMIUM,
            "ceph": CEPH,
        }
        for name, packages in wanted.items():
            print(unpacked(name, packages))
    except UnavailableError as error:
        sys.exit(str(error))
