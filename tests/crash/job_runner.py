"""A process that runs a small job, or removes it: `python job_runner.py run|half|remove STORE`.

It fetches nothing: the objects are made up. It continues what an earlier one left, prints each step
when it is durable, and asserts that nothing is done twice.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from casync.ids import ChunkId, Kind, ManifestId, chunk_id
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.half_fetched import FetchedPart, pack_chunks
from casync.jobs.item import Item
from casync.jobs.job import Counts, JobRow, JobState
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.validators import Validators
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.codec import Packer
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content, NodeBuilder
from casync.store.base import Batch, ManifestState
from casync.store.jobs import JobClaim, JobUpdate
from casync.store.lmdb.store import LmdbStore

SECRET: Final = "hush-hush"
SPEC: Final = JobSpec(
    "https://host/", "data/", SourceKind.LISTING, headers=(("Authorization", SECRET),)
)
ITEMS: Final = 8
STEP: Final = 4
LARGE: Final = 5
"""An object of several parts, each committed by itself."""

FAILS: Final = 6
PARTS: Final = 3
TAG: Final = Validators(etag='"1"')


def main(action: str, path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        row = store.jobs.create(SPEC, 1_800_000_000)
        _say("created")
        if action == "remove":
            store.jobs.remove(row.id)
            _say("removed")
            return
        with store.jobs.claim(row.id) as claim:
            assert claim.spec == SPEC
            _say("claimed")
            row = _list(store, claim)
            while row.cursor < ITEMS:
                row = _advance(store, row, action)
                _say(f"done {row.cursor}")
            ended = replace(row, state=JobState.FINISHED, ended=1_800_000_001)
            store.commit(Batch(job=JobUpdate(ended)))
            _say("finished")


def _list(store: LmdbStore, claim: JobClaim) -> JobRow:
    if claim.row.total >= 0:
        return claim.row
    items = [Item(f"f{n}", f"data/f{n}", headers=(("Cookie", SECRET),)) for n in range(ITEMS)]
    store.jobs.add_items(claim, 0, items)
    row = replace(claim.row, listed=ITEMS, total=ITEMS)
    store.commit(Batch(job=JobUpdate(row)))
    _say("listed")
    return row


def _advance(store: LmdbStore, row: JobRow, action: str) -> JobRow:
    """Commits the next few objects: out of order first, so that some lie beyond the cursor."""
    wanted = [n for n in range(row.cursor, min(row.cursor + STEP, ITEMS)) if n not in row.beyond]
    large = [n for n in wanted if n == LARGE]
    wanted = [n for n in wanted if n % 2 and n != LARGE] or [n for n in wanted if n != LARGE]
    if not wanted and large:
        return _fetch_large(store, row, action)
    batch = Batch()
    counts = Counts()
    faults = []
    for index, item in zip(wanted, store.jobs.items(row.id, wanted[0]), strict=False):
        assert item.name.startswith("data/f")
        if index == FAILS:
            fault = ObjectFault(index, "", "", ObjectFaultKind.HTTP, "gone", 1, 1, 1, 404)
            faults.append(fault)
            counts += Counts(failed=1)
            continue
        _publish(batch, index, [random.Random(index).randbytes(50)])
        counts += Counts(finished=1)
    row = row.after(wanted, counts)
    batch.job = JobUpdate(row, faults=faults)
    store.commit(batch)
    return row


def _fetch_large(store: LmdbStore, row: JobRow, action: str) -> JobRow:
    pieces = [random.Random(10**6 + part).randbytes(3000) for part in range(PARTS)]
    found = store.jobs.parts(row.id, LARGE)
    done = found.offset // 3000 if found is not None else 0
    if found is not None:
        here = store.known(Kind.CHUNK, [ident for ident, _ in found.chunks])
        assert all(here) or not here
    for number in range(done, PARTS - 1):
        part = FetchedPart(TAG, 9000, pack_chunks([(chunk_id(pieces[number]), 3000)]))
        chunk = Packer().pack_new(Kind.CHUNK, pieces[number])
        store.commit(Batch(objects=[chunk], job=JobUpdate(row, parts=[(LARGE, part)])))
        _say(f"part {number + 1}")
        if action == "half":
            sys.exit()
    batch = Batch()
    _publish(batch, LARGE, pieces)
    row = row.after([LARGE], Counts(finished=1))
    batch.job = JobUpdate(row, done=[LARGE])
    store.commit(batch)
    return row


def _publish(batch: Batch, index: int, pieces: list[bytes]) -> None:
    """Adds an object with its name to a batch."""
    pack = Packer().pack_new
    builder = NodeBuilder(lambda _, data: batch.objects.append(pack(Kind.NODE, data)))
    for piece in pieces:
        batch.objects.append(pack(Kind.CHUNK, piece))
        builder.extend([(ChunkId(chunk_id(piece)), len(piece))])
    content: Content = builder.finish()
    manifest = pack(Kind.MANIFEST, encode_manifest(Manifest("file", DEFAULT_PARAMS, content)))
    ident, name = ManifestId(manifest.id), parse_name(f"data/f{index}")
    batch.objects.append(manifest)
    batch.manifests.append((ident, ManifestState.FULL, content.length))
    batch.names.append(NameUpdate(name, ident, 0))  # exactly once
    batch.origins.append((name, Origin("https://host", name, ident, content.length, TAG)))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
