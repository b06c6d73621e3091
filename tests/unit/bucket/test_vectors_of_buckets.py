"""Golden bytes of runs and heads. They are never made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec.structs import astuple

from casync.bucket.head import BucketHead, OpenSession, RunEntry, decode_head, encode_head
from casync.bucket.keys import SessionPart
from casync.bucket.run import RunRow, SegmentSize, decode_run, encode_run
from casync.ids import Kind

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "buckets.json").read_text()
)


def test_runs() -> None:
    for vector in VECTORS["runs"]:
        run = decode_run(bytes.fromhex(vector["bytes"]))
        assert run.store.hex() == vector["store"]
        assert run.segments == [
            SegmentSize(SessionPart(bytes.fromhex(session), number), size)
            for session, number, size in vector["segments"]
        ]
        rows = [
            (kind.name.lower(), row.id.hex(), *astuple(row)[1:])
            for kind in Kind
            for row in run.rows[kind]
        ]
        assert rows == list(map(tuple, vector["rows"]))
        assert run.changes == [
            (table, bytes.fromhex(key), None if value is None else bytes.fromhex(value))
            for table, key, value in vector["changes"]
        ]
        assert all(isinstance(row, RunRow) for row in run.rows[Kind.CHUNK])
        assert encode_run(*run).hex() == vector["bytes"]


def test_heads() -> None:
    for vector in VECTORS["heads"]:
        head = BucketHead(
            1,
            bytes.fromhex(vector["store"]),
            vector["version"],
            vector["generation"],
            tuple(RunEntry(bytes.fromhex(s), *rest) for s, *rest in vector["runs"]),
            tuple(OpenSession(bytes.fromhex(s), *rest) for s, *rest in vector["sessions"]),
            SessionPart(bytes.fromhex(vector["commit"][0]), vector["commit"][1])
            if "commit" in vector
            else None,
        )
        assert encode_head(head).hex() == vector["bytes"]
        assert decode_head(bytes.fromhex(vector["bytes"])) == head
