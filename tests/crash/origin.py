"""A server with two versions of an image, for tests that pull."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.crash.commands import Server, run
from tests.crash.material import image, updated

__all__ = ["Origin", "prepared", "serving"]


class Origin(NamedTuple):
    """What is served.

    Attributes:
        url: Where.
        store: Its store.
        known: Contents by hash, the old version first.
        server: The process.
    """

    url: str
    store: Path
    known: dict[str, bytes]
    server: Server

    @property
    def hashes(self) -> list[str]:
        """Of the old and the new version."""
        return list(self.known)


def prepared(store: Path, *contents: bytes, folder: Path) -> dict[str, bytes]:
    """Prepares contents into a store; returns them by hash."""
    known: dict[str, bytes] = {}
    for data in contents:
        (folder / "input").write_bytes(data)
        done = run("prepare", "--store", store, folder / "input")
        assert done.returncode == 0, done.stderr.decode()
        known[done.stdout.decode().strip()] = data
    return known


@contextmanager
def serving(folder: Path, *, size: int, seed: int) -> Iterator[Origin]:
    """Serves an image of `size` bytes and its next version from a store in `folder`."""
    old = image(seed, size)
    known = prepared(folder / "store", old, updated(old, seed + 1), folder=folder)
    with Server(folder / "store") as server:
        yield Origin(server.url, folder / "store", known, server)
