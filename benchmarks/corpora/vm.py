"""Disk images with a file system: vm.sh does the work, as root, in mount and PID namespaces."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks.corpora.corpus import Corpus

FULL_MIB = 3072
SMALLEST_MIB = 1024
MIRROR = "http://deb.debian.org/debian"


def build(folder: Path, scale: float) -> None:
    """Runs vm.sh.

    Raises:
        SystemExit: The user is not root.
    """
    if os.geteuid() != 0:
        raise SystemExit("the vm corpus is made by mounting images: run as root")
    mib = max(round(FULL_MIB * scale), SMALLEST_MIB)
    mirror = os.environ.get("CASYNC_BENCH_MIRROR", MIRROR)
    script = Path(__file__).with_name("vm.sh")
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    argv += ["bash", str(script), str(folder), str(mib), mirror]
    with (folder / "vm.log").open("wb") as log:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)


VM = Corpus(
    "vm",
    ("base.img", "updated.img", "rebuilt.img"),
    (
        ("vm, updated in place", "base.img", "updated.img"),
        ("vm, rebuilt", "updated.img", "rebuilt.img"),
        ("vm, updated and rebuilt", "base.img", "rebuilt.img"),
    ),
    build,
)
