"""Two namespaces beside the store: a damaged one, whose requests say so, and a healthy one."""

from __future__ import annotations

import http.client
import json
import random
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from casync.names.token import TokenScope
from casync.store.lmdb.namespaces import namespace_folder
from casync.store.lmdb.store import LmdbStore
from tests.crash.lmdb_pages import PAGE_BYTES, map_pages
from tests.stress.actors import Scene

__all__ = ["Neighbours", "ask_all_neighbours", "ask_neighbours", "make_neighbours"]

_DAMAGED, _HEALTHY = "damaged", "healthy"
_NAME: Final = "kept"
_PATHS: Final = ("/v1/names", "/v1/manifests", f"/v1/files/{_NAME}", "/metrics", "/v1/trash")
_REQUESTS: Final = [
    *((True, path) for path in _PATHS),
    *((False, f"/v1/files/{_NAME}") for _ in _PATHS),
]
"""Whether the damaged namespace is asked, and for what."""

_ANSWER_SECONDS: Final = 60.0
_STOPPING: Final = 503


class Neighbours(NamedTuple):
    """The namespaces of a run.

    Attributes:
        admin: A token for the store itself.
        damaged: One for the damaged namespace.
        healthy: One for the healthy namespace.
        content: What the healthy namespace holds.
    """

    admin: str
    damaged: str
    healthy: str
    content: bytes

    @property
    def mark(self) -> str:
        """What the log shows of the token for the damaged namespace."""
        return f"token={self.damaged.split('_')[1]}"


def make_neighbours(scene: Scene) -> Neighbours:
    """Makes both in the store of `scene`; one has a zeroed page."""
    content = scene.contents.make(0)
    path = scene.folder / "neighbour"
    path.write_bytes(content)
    healthy, damaged = (namespace_folder(scene.store, each) for each in (_HEALTHY, _DAMAGED))
    healthy.parent.mkdir(mode=0o700)
    prepare = ("prepare", path, "--name", _NAME, "--store", healthy)
    assert scene.processes.run(*prepare, safe=True).status == 0
    shutil.copytree(healthy, damaged)
    _zero_names(damaged / "data.mdb")
    with LmdbStore.open(scene.store) as store:
        admin, for_damaged, for_healthy = (
            store.tokens.issue(TokenScope.ADMIN, namespace=namespace)[0]
            for namespace in ("", _DAMAGED, _HEALTHY)
        )
    return Neighbours(admin, for_damaged, for_healthy, content)


def _zero_names(file: Path) -> None:
    data = file.read_bytes()
    (at,) = (p.number for p in map_pages(data) if p.role == "root" and p.database == "names")
    with file.open("r+b") as opened:
        opened.seek(at * PAGE_BYTES)
        opened.write(bytes(PAGE_BYTES))


def ask_neighbours(scene: Scene, neighbours: Neighbours, rng: random.Random) -> None:
    """Sends a request to one of them, if the server runs."""
    scene.serving.wait(_ANSWER_SECONDS)
    _ask(scene, neighbours, scene.url, *rng.choice(_REQUESTS))


def ask_all_neighbours(scene: Scene, neighbours: Neighbours, url: str) -> None:
    """Sends every request to a server that neither stops nor is killed."""
    for damaged, path in _REQUESTS:
        _ask(scene, neighbours, url, damaged, path)


def _ask(scene: Scene, neighbours: Neighbours, url: str, damaged: bool, path: str) -> None:
    token = neighbours.damaged if damaged else neighbours.healthy
    port = int(url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):  # it was killed or stopped
        scene.ledger.count("neighbours: no answer")
        return
    finally:
        connection.close()
    if answer.status == _STOPPING:
        scene.ledger.count("neighbours: server is stopping")
    elif damaged:
        if answer.status != 500 or json.loads(body)["code"] != "damaged-store":
            scene.ledger.wrong(f"the damaged namespace, {path}: {answer.status} {body[:300]!r}")
        scene.ledger.count("damaged namespace: 500 damaged-store")
    else:
        if answer.status != 200 or body != neighbours.content:
            scene.ledger.wrong(f"the healthy namespace: {answer.status}, {len(body)} bytes")
        scene.ledger.count("healthy namespace: right")
