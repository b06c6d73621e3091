"""Golden bytes: what casync 0.1 cut, encoded and named. They are never made again.

A change that breaks one of these breaks every store and every HASH that people have written down.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from casync.ids import NodeId, manifest_id, node_id
from casync.objects.chunk_runs import runs
from casync.objects.chunker import ChunkerParams, Cutter
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.objects.node import Content, Node, NodeBuilder, Run, decode_node
from casync.objects.tree import EntryReader, decode_root, encode_entry, encode_root
from tests.support import reference_chunker

VECTORS = Path(__file__).parents[1] / "vectors"


def read(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return vectors


def make_input(parts: list[list[Any]]) -> bytes:
    """`random`: BLAKE3 of a label, extended to a length. `byte`: one byte, repeated."""
    return b"".join(
        blake3(what.encode()).digest(length=size) if how == "random" else bytes([what]) * size
        for how, what, size in parts
    )


@pytest.mark.parametrize("vector", read("cuts"), ids=str)
def test_cuts(vector: dict[str, Any]) -> None:
    data = make_input(vector["input"])
    cutter = Cutter(ChunkerParams(*vector["params"]))
    assert cutter.feed(data).lengths + cutter.finish().lengths == vector["lengths"]
    if len(data) <= 300_000:
        assert reference_chunker.cut(data, *vector["params"]) == vector["lengths"]


@pytest.mark.parametrize("vector", read("nodes"), ids=lambda vector: str(vector["content"]))
def test_nodes(vector: dict[str, Any]) -> None:
    made: dict[bytes, bytes] = {}
    order = []

    def emit(ident: NodeId, data: bytes) -> None:
        made[ident] = data
        order.append(ident)

    given = [Run(bytes.fromhex(ident), length, times) for ident, length, times in vector["runs"]]
    builder = NodeBuilder(emit)
    for run in given:
        builder.add(run)
    level, ident, length = vector["content"]
    content = Content(level, bytes.fromhex(ident), length)
    assert builder.finish() == content
    assert [ident.hex() for ident in order] == [node["id"] for node in vector["nodes"]]
    for node in vector["nodes"]:
        data = made[bytes.fromhex(node["id"])]
        assert len(data) == node["size"]
        assert node_id(data).hex() == node["id"]
        assert data.hex() == node.get("bytes", data.hex())

    def fetch(ident: NodeId, level: int, length: int) -> Node:
        return decode_node(made[ident], level, length)

    walked = [run for _, run in runs(content, fetch)]
    assert sum(run.times for run in walked) == sum(run.times for run in given)


@pytest.mark.parametrize("vector", read("manifests"), ids=lambda vector: vector["id"][:8])
def test_manifests(vector: dict[str, Any]) -> None:
    level, ident, length = vector["content"]
    manifest = Manifest(
        vector["kind"],
        ChunkerParams(*vector["params"]),
        Content(level, bytes.fromhex(ident), length),
    )
    data = bytes.fromhex(vector["bytes"])
    assert encode_manifest(manifest) == data
    assert decode_manifest(data) == manifest
    assert manifest_id(data).hex() == vector["id"]


def spelled(value: Any) -> Any:
    """JSON has no bytes: they are spelled as `{"hex": ...}`."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return [spelled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("vector", read("entries"), ids=lambda vector: str(vector["entry"][:2]))
def test_entries(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    body = msgspec.msgpack.encode(spelled(vector["entry"]))
    assert data == len(body).to_bytes(4, "little") + body
    if vector["entry"][1] == {"hex": ""}:
        assert encode_root(decode_root(data)) == data
    else:
        (entry,) = EntryReader().feed(data)
        assert encode_entry(entry) == data
