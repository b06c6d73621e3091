"""s3s-fs for tests: a small server of S3 over a folder whose conditional writes race.

Where Rust is installed it is built once, in a folder of the user's cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.debian import UnavailableError
from tests.support.web_servers import free_port, running

VERSION = "0.14.1"  # the newest for Rust 1.95
KEY, SECRET = "testkey", "testsecret"
BUILD_SECONDS = 2400.0


@contextlib.contextmanager
def s3s_fs(folder: Path) -> Iterator[str]:
    """A server whose buckets are the folders in `folder`; gives its URL.

    Raises:
        UnavailableError: It cannot be built.
    """
    port = free_port()
    place = ["--host", "127.0.0.1", "--port", str(port)]
    keys = ["--access-key", KEY, "--secret-key", SECRET]
    with running([str(_built()), *place, *keys, str(folder)], port):
        yield f"http://127.0.0.1:{port}"


def _built() -> Path:
    paths = f"{os.environ.get('PATH', '')}:{os.path.expanduser('~/.cargo/bin')}"
    cargo = shutil.which("cargo", path=paths)
    if cargo is None:
        raise UnavailableError("Rust is missing")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(home, "casync-tests", "cargo")
    root.mkdir(parents=True, exist_ok=True)
    program = root / "bin/s3s-fs"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            words = ["install", "s3s-fs", "--version", VERSION, "--features", "binary"]
            try:
                subprocess.run(
                    [cargo, *words, "--root", str(root)],
                    check=True,
                    capture_output=True,
                    timeout=BUILD_SECONDS,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise UnavailableError(f"cargo cannot build s3s-fs: {error}") from error
    return program
