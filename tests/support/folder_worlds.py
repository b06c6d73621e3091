"""Folders of tests, and pulling them from a store or a server in memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from casync.access.endpoints import Endpoints, place_of
from casync.access.locate import locate_for_pull
from casync.access.outline import ObjectLoader
from casync.access.progress import SILENT, Progress
from casync.access.tree_load import Tree
from casync.fs.scan_cache import ScanCache
from casync.ids import ManifestId
from casync.names.name import Ref
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull_folder.plan import FolderOptions
from casync.ops.pull_folder.pull import FolderPulled, pull_tree
from casync.store.memory import MemoryStore
from tests.support.pulling import MemoryServer
from tests.support.tree_worlds import later

__all__ = ["pulled", "seen", "stamp"]


def pulled(
    ident: ManifestId,
    target: Path,
    server: MemoryServer | None,
    store: MemoryStore,
    *,
    path: str | None = None,
    scan_cache: ScanCache | None = None,
    options: PullOptions = PullOptions(),
    exact: bool = False,
    delete: bool = False,
    max_delete: int | None = None,
    progress: Progress = SILENT,
) -> FolderPulled:
    """Pulls a tree into a folder."""
    endpoints = Endpoints(store, True, [store], [] if server is None else [server])
    loader = ObjectLoader(store, [(place_of(one), one) for one in endpoints.servers])
    tree = locate_for_pull(Ref(manifest=ident, path=path), endpoints, loader)
    assert isinstance(tree, Tree)
    return pull_tree(
        tree,
        target,
        endpoints,
        loader,
        options,
        FolderOptions(exact=exact, delete=delete, max_delete=max_delete),
        scan_cache=scan_cache,
        progress=progress,
        clock=later,
    )


def stamp(path: Path) -> tuple[object, ...]:
    """Metadata and content of one entry, without what differs between copies."""
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    content: object = None
    if kind == stat.S_IFREG:
        content = path.read_bytes()
    elif kind == stat.S_IFLNK:
        content = os.readlink(path)
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
    return kind, mode, status.st_mtime_ns, attributes, content


def seen(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything in a folder by path, the folder itself as `.`.

    A hard link to an earlier file has the path of the first one.
    """
    found: dict[str, tuple[object, ...]] = {".": stamp(root)}
    hard_links: dict[tuple[int, int], str] = {}
    for path in sorted(root.rglob("*"), key=lambda path: os.fsencode(path).split(b"/")):
        status = path.lstat()
        where = str(path.relative_to(root))
        first = hard_links.setdefault((status.st_dev, status.st_ino), where)
        found[where] = (*stamp(path), first if first != where else None)
    return found
