"""A name moves from a file to a folder, or back, while it is pulled."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync import api
from casync.errors import WriteError
from casync.ids import ManifestId
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.ops.pull.file import Pulled
from casync.ops.pull.forecast import Forecast
from casync.store.base import Batch, ManifestState
from casync.store.memory import MemoryStore
from tests.support.peer import Fault, Peer, Seen
from tests.support.pulling import noise, put
from tests.support.tree_worlds import manifest_of, prepared

DATA = noise(1, 20_000)
KINDS = ("file", "folder")


class Moving:
    """A store whose name switches between file and folder each time it is resolved."""

    def __init__(self, folder: Path, first: str) -> None:
        folder.mkdir()
        (folder / "data").write_bytes(DATA)
        self.store = MemoryStore()
        self.manifests = {"file": put(self.store, DATA)}
        self.manifests["folder"] = prepared(folder, self.store).manifest
        self.resolved = 0
        self._kind = first
        self._point()

    def after(self, seen: Seen) -> Fault | None:
        """Resolves the name, then moves it."""
        if seen.target.startswith("/v1/manifests/"):
            self.resolved += 1
            self._kind = "file" if self._kind == "folder" else "folder"
            self._point()
        return None

    def _point(self) -> None:
        ident: ManifestId = self.manifests[self._kind]
        length = manifest_of(self.store, ident).length
        batch = Batch(manifests=[(ident, ManifestState.FULL, length)])
        batch.names = [NameUpdate(Name("name"), ident)]
        self.store.commit(batch)


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("there", [None, *KINDS])
def test_a_name_is_pulled_as_what_it_was_when_it_was_resolved(
    first: str, there: str | None, tmp_path: Path
) -> None:
    moving = Moving(tmp_path / "source", first)
    out = tmp_path / "out"
    if there == "folder":
        out.mkdir()
    elif there == "file":
        out.write_bytes(b"old")
    with Peer(moving.store, moving.after) as peer:
        if there not in (None, first):
            said = "out is a folder" if first == "file" else "out is not a folder"
            with pytest.raises(WriteError, match=said):
                api.pull("name", out, servers=[peer.url])
        else:
            pulled = api.pull("name", out, servers=[peer.url])
            assert isinstance(pulled, Pulled) == (first == "file")
            assert pulled.manifest == moving.manifests[first]
            assert (out if first == "file" else out / "data").read_bytes() == DATA
    assert moving.resolved == 1


@pytest.mark.parametrize("first", KINDS)
def test_a_name_is_planned_as_what_it_was_when_it_was_resolved(first: str, tmp_path: Path) -> None:
    moving = Moving(tmp_path / "source", first)
    with Peer(moving.store, moving.after) as peer:
        plan = api.forecast("name", tmp_path / "out", servers=[peer.url])
    assert isinstance(plan, Forecast) == (first == "file")
    assert plan.manifest == moving.manifests[first]
    assert moving.resolved == 1
