"""Several servers as one supply: failing servers are skipped, and the final error says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from casync.access.endpoints import Endpoints
from casync.errors import UnreachableError
from casync.ids import Kind, ObjectId
from casync.names.name import Ref
from casync.objects.codec import Packed
from casync.objects.delta import Delta, Group
from casync.ops.pull import server_supply
from casync.ops.pull.wanted import PullOptions
from casync.store.base import Absence, ObjectStat
from casync.store.memory import MemoryStore
from tests.support.pulling import MemoryServer, chunk_ids, forecast_file, noise, pull_file, put, run

DATA = noise(1, 50_000)


class Down(MemoryServer):
    """A server that cannot be reached."""

    origin = "down"

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        raise UnreachableError("down does not answer")

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        raise UnreachableError("down does not answer")


def test_plans_and_pulls_skip_a_server_that_is_down(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    ident = put(server, DATA)
    for servers in ([Down(), server], [server, Down()]):
        endpoints = Endpoints(store, True, [store], [*servers])
        plan = forecast_file(Ref(manifest=ident), tmp_path / "out", endpoints, PullOptions())
        assert plan.missing == 0
        assert plan.sources == {"server": len(DATA)}
    pull_file(
        Ref(manifest=ident), tmp_path / "out", Endpoints(store, True, [store], [Down(), server])
    )
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_chunk_is_not_missing_while_a_server_is_down(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    ident = put(server, DATA)
    server._tables.objects.pop((Kind.CHUNK, chunk_ids(server, ident)[7]))
    endpoints = Endpoints(store, True, [store], [server, Down()])
    with pytest.raises(UnreachableError, match="does not answer"):
        forecast_file(Ref(manifest=ident), tmp_path / "out", endpoints, PullOptions())
    with pytest.raises(UnreachableError, match="does not answer"):
        pull_file(Ref(manifest=ident), tmp_path / "out", endpoints)


def test_a_chunk_is_not_missing_while_a_server_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_supply, "_BUSY_SECONDS", 0.001)
    server, store = MemoryServer(), MemoryStore()
    ident = put(server, DATA)
    server.absent = dict.fromkeys(chunk_ids(server, ident), Absence.BUSY)
    with pytest.raises(UnreachableError, match="too busy"):
        run(ident, tmp_path / "out", server, store)


class BusyWithNodes(MemoryServer):
    """A server that has no time for nodes."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for answer in super().get(kind, ids):
            yield Absence.BUSY if kind is Kind.NODE else answer


def test_a_server_too_busy_for_nodes_is_skipped_and_nodes_are_not_missing(tmp_path: Path) -> None:
    busy, server, store = BusyWithNodes(), MemoryServer(), MemoryStore()
    ident = put(busy, DATA)
    with pytest.raises(UnreachableError, match="too busy"):
        run(ident, tmp_path / "out", busy, store)
    put(server, DATA)
    pull_file(
        Ref(manifest=ident), tmp_path / "out", Endpoints(store, True, [store], [busy, server])
    )
    assert (tmp_path / "out").read_bytes() == DATA


class CutsGroups(MemoryServer):
    """A server that sends the first chunk of each group as it is, and the rest as a delta.

    A client sees this when a connection breaks within a group and it asks for the rest.
    """

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        for group in groups:
            yield list(self.get(kind, group.wanted[:1]))
            if len(group.wanted) > 1:
                yield from super().get_groups(kind, [Group(group.wanted[1:], group.bases)])


def test_the_rest_of_a_group_may_come_as_a_delta(tmp_path: Path) -> None:
    server, store = CutsGroups(), MemoryStore()
    (tmp_path / "old").write_bytes(DATA)
    new = bytearray(DATA)
    for at in range(10_000, 20_000, 777):
        new[at] ^= 1
    put(server, DATA)
    ident = put(server, bytes(new))
    run(ident, tmp_path / "out", server, store, seeds=(tmp_path / "old",), delta="always")
    assert (tmp_path / "out").read_bytes() == new
    assert any(len(delta.ids) > 1 for delta in server.deltas if delta.kind is Kind.CHUNK)
