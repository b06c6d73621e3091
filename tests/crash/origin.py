"""A server with two versions of an image, for tests that pull."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from casync.access.outline import open_outline
from casync.ids import ManifestId
from casync.objects.leaves import LeafCursor
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import Server, run
from tests.crash.material import image, updated

__all__ = ["Origin", "prepared", "serving"]


class Origin(NamedTuple):
    """A served store.

    Attributes:
        url: URL of the server.
        store: Folder of the store.
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

    def missing(self, hash_: str, part: Path | None) -> int:
        """Bytes of a version, without holes, that a part file lacks at their place."""
        data = part.read_bytes() if part is not None else b""
        whole = self.known[hash_]
        return sum(
            end - start
            for start, end in _places(self.store, hash_)
            if data[start:end] != whole[start:end]
        )


@cache
def _places(path: Path, hash_: str) -> list[tuple[int, int]]:
    with LmdbStore.open(path, read_only=True) as store:
        outline = open_outline(ManifestId(bytes.fromhex(hash_)), store)
        chunks = LeafCursor(outline.content, outline.node).chunks(0, outline.length)
        return [
            (offset, offset + record.length)
            for offset, record in chunks
            if not outline.is_hole(*record)
        ]


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
