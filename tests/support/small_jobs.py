"""Jobs with a few objects, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from casync.ids import ManifestId
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.item import Item
from casync.jobs.job import Counts, JobRow, JobState
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.validators import Validators
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch, ManifestState
from casync.store.jobs import JobUpdate
from tests.contract.store_contract import noise, small_manifest
from tests.contract.whole_store import WholeStore

TAG = Validators(etag='"1"')
FINISHED, RUNNING, ABORTED = JobState.FINISHED, JobState.RUNNING, JobState.ABORTED


def spec(number: int = 0, **fields: object) -> JobSpec:
    made = JobSpec(f"http://host/{number}/", "data/", SourceKind.LISTING)
    return replace(made, **fields)


def made(store: WholeStore, number: int = 0) -> JobRow:
    return store.jobs.create(spec(number), 1_800_000_000 + number)


def items(count: int, first: int = 0) -> list[Item]:
    return [Item(f"f{n}", f"data/f{n}", size=n) for n in range(first, first + count)]


def fault(index: int) -> ObjectFault:
    name = f"data/f{index}"
    return ObjectFault(
        index, name, f"http://host/{name}", ObjectFaultKind.HTTP, "no", 3, 10, 20, 404
    )


def ended(row: JobRow, state: JobState = FINISHED) -> JobRow:
    """A row that has nothing left to do."""
    total = row.cursor if state is FINISHED else row.total
    return replace(row, state=state, total=total, ended=1_800_000_900)


def fetched(
    store: WholeStore, row: JobRow, indices: Sequence[int], **more: object
) -> tuple[JobRow, Batch]:
    """The commit of objects with the given indices, and the row afterwards."""
    after = row.after(indices, Counts(finished=len(indices), bytes=10, fetched=10))
    batch = Batch(job=JobUpdate(after))
    for index in indices:
        plain = noise(500, index)
        chunk, manifest = small_manifest(plain)
        name, ident = parse_name(f"data/f{index}"), ManifestId(manifest.id)
        batch.objects += [chunk, manifest]
        batch.manifests.append((ident, ManifestState.FULL, len(plain)))
        batch.names.append(NameUpdate(name, ident))
        batch.origins.append((name, Origin("http://host", name, ident, len(plain), TAG)))
    return after, batch
