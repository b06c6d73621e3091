"""A pull of a folder decodes each entry of the tree at most three times."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from casync.fs.scan_cache import ScanCache
from casync.objects import tree
from casync.objects.tree import Entry
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled, seen
from tests.support.pulling import MemoryServer
from tests.support.tree_worlds import prepared


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often the entry with each name was decoded."""
    found: Counter[bytes] = Counter()
    decoded = tree._decoded

    def counted(body: bytes) -> Entry:
        entry = decoded(body)
        found[entry.name] += 1
        return entry

    monkeypatch.setattr(tree, "_decoded", counted)
    return found


def test_no_entry_is_decoded_more_than_three_times(tmp_path: Path, decodes: Counter[bytes]) -> None:
    root, target = tmp_path / "root", tmp_path / "target"
    for number in range(30):
        path = root / f"folder {number // 10}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    os.link(root / "folder 0" / "file 1", root / "folder 2" / "link")
    (root / "to a file").symlink_to("folder 0/file 1")
    server, store, scan_cache = MemoryServer(), MemoryStore(), ScanCache(tmp_path / "seen")

    def pull() -> int:
        ident = prepared(root, server).manifest
        decodes.clear()
        result = pulled(ident, target, server, store, scan_cache=scan_cache, delete=True)
        assert decodes[b"folder 0"] >= 1
        assert max(decodes.values()) <= 3
        assert seen(target) == seen(root)
        return result.files

    assert pull() == 30
    assert pull() == 0
    (root / "folder 1" / "file 12").write_bytes(b"changed")
    (root / "folder 1" / "copy").write_bytes(b"25")
    (root / "folder 2" / "file 29").unlink()
    assert pull() == 2
