"""Readers of shards, each run in a process of its own; they tell what they read and how long.

The time begins when everything is imported and open, and a server has its index: a job reads for
hours.
"""

from __future__ import annotations

import http.client
import json
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from blake3 import blake3


def files(url: str, shard: str, names: list[str]) -> Iterator[bytes]:
    """A request for each member, on one connection."""
    server = connection(url)
    for name in [names[0], *names]:  # the first one is not counted
        server.request("GET", f"/v1/files/{shard}/-/{name}")
        yield answer(server).read()


def batch(url: str, shard: str, names: list[str]) -> Iterator[bytes]:
    """One request for all members."""
    server = connection(url)
    for asked in (names[:1], names):
        body = json.dumps({"in": [{"objname": shard, "archpath": name} for name in asked]})
        server.request("POST", "/v1/batch", body, {"Content-Type": "application/json"})
        got = answer(server)
        with tarfile.open(fileobj=cast(IO[bytes], got), mode="r|") as archive:
            yield from map(contents(archive), archive)
        got.read()


def scan(url: str, shard: str, names: list[str]) -> Iterator[bytes]:
    """As AIStore does without an index: each time from the beginning of the shard."""
    for name in [names[0], *names]:
        server = connection(url)
        server.request("GET", f"/files/{shard}")
        with tarfile.open(fileobj=cast(IO[bytes], answer(server)), mode="r|") as archive:
            yield next(contents(archive)(member) for member in archive if member.name == name)
        server.close()


def ratarmount(folder: str, shard: str, names: list[str]) -> Iterator[bytes]:
    """A local file, by the index of ratarmount."""
    from ratarmountcore.mountsource.factory import open_mount_source

    source = open_mount_source(str(Path(folder, shard)))
    for name in [names[0], *names]:
        with source.open(source.lookup(f"/{name}")) as file:
            yield file.read()


def webdataset(store: str, urls: str, _: list[str]) -> Iterator[bytes]:
    """All samples of shards, whose URLs are a pattern of braces."""
    from webdataset import WebDataset

    if store != "-":
        from casync.training.webdataset import register

        register(store=store)
    yield b""
    for sample in WebDataset(urls, shardshuffle=False):
        yield sample["jpg"]


WAYS: dict[str, Callable[[str, str, list[str]], Iterator[bytes]]] = {
    one.__name__: one for one in (files, batch, scan, ratarmount, webdataset)
}


def main() -> None:
    """Reads in one way, all but the first piece of bytes on the clock."""
    way, where, shard, listed = sys.argv[1:]
    names = Path(listed).read_text().split()
    pieces = WAYS[way](where, shard, names)
    next(pieces)
    digest, count = blake3(), 0
    begin = time.perf_counter()
    for piece in pieces:
        count += len(piece)
        digest.update(piece[:64] + piece[-64:])  # hashing all would be a part of what is measured
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "bytes": count, "digest": digest.hexdigest()}))


def connection(url: str) -> http.client.HTTPConnection:
    """A connection to a server."""
    return http.client.HTTPConnection(urlsplit(url).netloc)


def answer(server: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """The answer to the last request.

    Raises:
        RuntimeError: It is an error.
    """
    got = server.getresponse()
    if got.status != 200:
        raise RuntimeError(f"status {got.status}: {got.read()!r}")
    return got


def contents(archive: tarfile.TarFile) -> Callable[[tarfile.TarInfo], bytes]:
    """Reads members of an open archive."""

    def read(member: tarfile.TarInfo) -> bytes:
        file: Any = archive.extractfile(member)
        return bytes(file.read())

    return read


if __name__ == "__main__":
    main()
