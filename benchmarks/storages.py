"""Servers of object storage on loopback during a measurement, each with a log of its requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.contender import Upload
from tests.support import ceph, go_servers
from tests.support.debian import UnavailableError

__all__ = ["STORAGES", "StorageServer", "UnavailableError"]

BUCKET = "bucket"


@dataclass(frozen=True)
class StorageServer:
    """A running server of S3.

    Attributes:
        url: Its address.
        key: The key that it knows.
        secret: The secret of that key.
        region: Its region.
        log: Its log.
        line: What each request writes there, as an expression.
    """

    url: str
    key: str
    secret: str
    region: str
    log: Path
    line: str

    @property
    def keys(self) -> dict[str, str]:
        """Variables with its credentials."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    @property
    def reach(self) -> dict[str, str]:
        """Variables by which our command finds it."""
        return {**self.keys, "AWS_REGION": self.region, "AWS_ENDPOINT_URL": self.url}

    def upload(self, source: Path, folder: str) -> Upload:
        """The task to copy a file into a folder of the bucket."""
        return Upload(source, f"{BUCKET}/{folder}", self.url, self.region, self.keys)

    def requests(self) -> int:
        """The requests in its log."""
        with self.log.open(errors="replace") as lines:
            return sum(re.search(self.line, line) is not None for line in lines)


@contextmanager
def versitygw(folder: Path) -> Iterator[StorageServer]:
    """versitygw, with its objects and its log in a folder.

    Raises:
        UnavailableError: It cannot be built.
    """
    buckets, log = folder / "buckets", folder / "requests.log"
    buckets.mkdir()
    keys = (go_servers.KEY, go_servers.SECRET, go_servers.REGION)
    with go_servers.versitygw(buckets, log) as url:
        yield StorageServer(url, *keys, log, r" s3_[A-Z]\w+ ")


@contextmanager
def rados_gateway(folder: Path) -> Iterator[StorageServer]:
    """A Ceph of one monitor, one OSD and one gateway in a folder.

    Raises:
        UnavailableError: Its packages are not available.
    """
    with ceph.running(folder) as url:
        log = folder / "client.admin.log"
        yield StorageServer(url, ceph.KEY, ceph.SECRET, ceph.REGION, log, r" beast: .* HTTP/1\.")


STORAGES = {"versitygw": versitygw, "Ceph": rados_gateway}
"""How each server is started."""
