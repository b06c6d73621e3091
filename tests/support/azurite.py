"""A real server of Azure's storage for tests: Microsoft's Azurite, by npm.

It is fetched once, to a folder of the user's cache. Where npm cannot get it, the tests that need it
are skipped and counted.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import fcntl
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.debian import UnavailableError
from tests.support.web_servers import free_port

PACKAGE = "azurite@3.35.0"  # the last one for Node 20 and older
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
READY_SECONDS = 60.0


def _installed() -> Path:
    """The program."""
    if shutil.which("npm") is None:
        raise UnavailableError("npm is missing: apt install npm")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(home, "casync-tests", "azurite")
    root.mkdir(parents=True, exist_ok=True)
    program = root / "node_modules/.bin/azurite-blob"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            command = ["npm", "install", "--silent", "--no-audit", "--prefix", str(root), PACKAGE]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=300)
            except (OSError, subprocess.SubprocessError) as error:
                raise UnavailableError(f"npm cannot get {PACKAGE}: {error}") from error
    return program


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A server for a while, with nothing in it; gives the URL of the account.

    Raises:
        UnavailableError: It is not available.
    """
    port = free_port()
    options = ["--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    process = subprocess.Popen(
        [str(_installed()), *options, "--blobPort", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            assert process.poll() is None, f"Azurite ended with {process.returncode}"
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
                break
            assert time.monotonic() < deadline, "Azurite does not listen"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
    finally:
        process.terminate()
        process.wait()


def make_container(url: str, name: str = "container", *, is_public: bool = True) -> None:
    """Makes a container by one request with a signature of Azure's, after its documentation."""
    fields = {"x-ms-blob-public-access": "blob"} if is_public else {}
    fields |= {
        "x-ms-date": email.utils.formatdate(usegmt=True),
        "x-ms-version": "2021-08-06",
    }
    named = "".join(f"{name}:{value}\n" for name, value in fields.items())
    text = "PUT" + "\n" * 12 + f"{named}/{ACCOUNT}/{ACCOUNT}/{name}"
    text += "\nrestype:container"
    digest = hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    fields["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
    request = urllib.request.Request(
        f"{url}/{name}?restype=container", method="PUT", headers=fields
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201


def container_sas(name: str = "container", rights: str = "racwdl") -> str:
    """A token for everything in a container, after the documentation of Azure."""
    expiry, version = "2099-01-01T00:00:00Z", "2020-12-06"
    fields = [rights, "", expiry, f"/blob/{ACCOUNT}/{name}", "", "", "", version, "c"]
    text = "\n".join([*fields, "", "", "", "", "", "", ""])
    digest = hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)
    query = {
        "sp": rights,
        "se": expiry,
        "sv": version,
        "sr": "c",
        "sig": base64.b64encode(digest).decode(),
    }
    return urllib.parse.urlencode(query)
