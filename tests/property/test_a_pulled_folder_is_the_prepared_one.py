"""Law: a pull makes any folder equal to the prepared one, and a second pull changes nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from casync.errors import UsageError
from casync.fs.scan_cache import ScanCache
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled, seen
from tests.support.pulling import MemoryServer, noise
from tests.support.tree_worlds import prepared

_LONG = noise(1, 40_000)
_BYTES = [b"", b"x", b"y", _LONG, _LONG[:20_000] + b"!" + _LONG[20_000:], bytes(30_000)]

names = st.sampled_from([b"a", b"b", b"c", b"\xff", b"a.b", b"x y"])
modes = st.sampled_from([0o644, 0o600, 0o755])
times = st.sampled_from([0, 1_600_000_000_123_456_789, 1_600_000_000_123_456_790])
files = st.tuples(st.just("file"), st.integers(0, len(_BYTES) - 1), modes, times)
links = st.tuples(st.just("link"), st.sampled_from([b"a", b"../..", b"nowhere"]), times)
# A hard link to the n-th file before it, if there is one.
hard_links = st.tuples(st.just("hard link"), st.integers(0, 5))
folders = st.recursive(
    st.dictionaries(names, files | links | hard_links, max_size=4),
    lambda inner: st.dictionaries(names, files | links | hard_links | inner, max_size=4),
    max_leaves=14,
)


def make(root: Path, folder: dict[bytes, object], made: list[Path]) -> None:
    """Creates the entries that a strategy drew."""
    root.mkdir()
    for name, thing in folder.items():
        path = root / os.fsdecode(name)
        if isinstance(thing, dict):
            make(path, thing, made)
            continue
        assert isinstance(thing, tuple)
        kind, *rest = thing
        if kind == "file":
            number, mode, when = rest
            path.write_bytes(_BYTES[number])
            path.chmod(mode)
            os.utime(path, ns=(when, when))
            made.append(path)
        elif kind == "link":
            path.symlink_to(os.fsdecode(rest[0]))
            os.utime(path, ns=(rest[1], rest[1]), follow_symlinks=False)
        elif made:
            os.link(made[rest[0] % len(made)], path)


@settings(deadline=None, max_examples=60)
@given(folders, folders, st.booleans())
def test_a_pull_makes_the_folder_equal(
    wanted: dict[bytes, object], there: dict[bytes, object], remember: bool
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root, target = Path(place, "root"), Path(place, "target")
        make(root, wanted, [])
        make(target, there, [])
        server, store = MemoryServer(), MemoryStore()
        scan_cache = ScanCache(Path(place, "seen")) if remember else None
        ident = prepared(root, server).manifest
        try:
            pulled(ident, target, server, store, delete=True, scan_cache=scan_cache)
        except UsageError:
            # Nothing in common, and not empty. Hard links without a file were not created.
            assert not set(os.listdir(root)) & set(os.listdir(target))
            assert os.listdir(target)
            for path in sorted(target.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            pulled(ident, target, server, store, delete=True, scan_cache=scan_cache)
        assert seen(target) == seen(root)
        again = pulled(ident, target, server, store, delete=True, scan_cache=scan_cache)
        assert (again.files, again.others, again.removed) == (0, 0, 0)
        assert seen(target) == seen(root)
        # Equal entries have the same hash, wherever they are.
        assert prepared(target, MemoryStore()).manifest == ident
