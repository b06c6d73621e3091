"""docs/PROTOCOL.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from casync_server.problems import STATUS_OF

from casync import errors, limits
from casync.ids import Kind, ObjectId, chunk_id
from casync.objects.codec import Packed, Unpacker
from casync.objects.delta import Delta, Group, Singles, unpack_group
from casync.wire import batch, documents, frames, job_plan, job_request, jobs, members, uploads
from casync.wire import edits as changes
from casync.wire import requests as lists
from casync.wire.frames import FrameReader, Status
from casync.wire.requests import decode_ids, decode_sizes, encode_ids

TEXT = (Path(__file__).parents[2] / "docs" / "PROTOCOL.md").read_text()
PLAINS = {b"hello", b"a" * 300}


def block(kind: str) -> str:
    found = re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def example(name: str) -> bytes:
    lines = block(f"hex {name}").splitlines()
    return b"".join(bytes.fromhex(line.partition("|")[0]) for line in lines)


def ids() -> list[ObjectId]:
    return [chunk_id(b"hello"), chunk_id(b"nowhere"), chunk_id(b"a" * 300)]


def test_the_example_of_ids() -> None:
    assert encode_ids(Kind.CHUNK, ids()) == example("ids")
    assert decode_ids(example("ids")) == (Kind.CHUNK, ids())


def test_the_example_of_frames() -> None:
    reader = FrameReader(Kind.CHUNK, Singles(ids()))
    first, second, third = reader.feed(example("frames"))
    reader.finish()
    assert isinstance(first, Packed)
    assert isinstance(third, Packed)
    assert {Unpacker().unpack(first), Unpacker().unpack(third)} == PLAINS
    assert second is Status.MISSING
    assert b"".join(frames.encode_frames([first, second, third])) == example("frames")


def test_the_example_of_groups() -> None:
    base, plains = b"hello, " * 3, [b"hello, hello", b"hello, hello, world"]
    wanted = [chunk_id(plain) for plain in plains]
    groups = [Group([chunk_id(b"hello")], []), Group(wanted, [chunk_id(base)])]
    assert lists.encode_groups(Kind.CHUNK, groups) == example("groups")
    assert lists.decode_groups(example("groups")) == (Kind.CHUNK, groups)
    reader = FrameReader(Kind.CHUNK, groups)
    hello, delta = reader.feed(example("delta"))
    reader.finish()
    assert isinstance(hello, Packed)
    assert isinstance(delta, Delta)
    assert unpack_group(delta, [base], [12, 19]) == list(zip(wanted, plains, strict=True))
    assert b"".join(frames.encode_frames([hello, delta])) == example("delta")


def test_the_example_of_objects() -> None:
    reader = uploads.UploadReader()
    first, second = reader.feed(example("objects"))
    reader.finish()
    assert {Unpacker().unpack(first), Unpacker().unpack(second)} == PLAINS
    assert b"".join(uploads.encode_upload([first, second])) == example("objects")


def test_the_example_of_sizes() -> None:
    rows = [(5, 5), None, (300, 19)]
    assert decode_sizes(Kind.CHUNK, 3, example("sizes")) == rows
    assert lists.encode_sizes(rows) == example("sizes")


@pytest.mark.parametrize(
    "name",
    [
        "Info",
        "ManifestPage",
        "ManifestView",
        "NamePage",
        "HistoryPage",
        "NameChange",
        "NextItem",
        "Refs",
        "RemovalItem",
        "TrashPage",
        "PushItem",
        "TakenItem",
        "ProvingItem",
        "BatchRequest",
        "JobRequest",
        "JobObjects",
        "JobPage",
        "JobPlan",
        "FaultPage",
        "MemberPage",
        "ContentItem",
        "Problem",
    ],
)
def test_the_documents(name: str) -> None:
    text = block(f"json {name}").encode()
    kind = next(
        getattr(each, name)
        for each in (documents, changes, jobs, job_plan, job_request, batch, members)
        if hasattr(each, name)
    )
    document = documents.decode_document(text, kind)
    # Every field is shown, and no other.
    assert msgspec.json.decode(documents.encode_document(document)) == msgspec.json.decode(text)


def test_info_shows_the_limits() -> None:
    info = documents.decode_document(block("json Info").encode(), documents.Info)
    assert info.api == documents.API_VERSION
    assert info.limits == documents.LimitsItem(
        limits.MAX_BATCH_IDS,
        limits.MAX_BATCH_BYTES,
        limits.PAGE_ITEMS,
        limits.MAX_BATCH_BASES,
        limits.MAX_GROUP_BYTES,
    )


def test_the_limits() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([0-9]+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 15
    homes = {"MAX_IDS_BYTES": lists, "MAX_UPLOAD_BYTES": uploads}
    for name, value in rows:
        assert getattr(homes.get(name, limits), name) == int(value)


def test_the_statuses_of_frames() -> None:
    rows = re.findall(r"^\| ([1-6]) \| ([a-z]+) \|", TEXT, re.MULTILINE)
    assert dict(rows) == {str(status.value): status.name.lower() for status in Status}


def test_the_media_types() -> None:
    types = (lists.IDS_TYPE, frames.FRAMES_TYPE, lists.SIZES_TYPE, frames.MANIFEST_TYPE)
    for kind in (*types, uploads.OBJECTS_TYPE):
        assert f"`{kind}`" in TEXT


def test_the_codes_of_errors() -> None:
    known = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.CasyncError)
    }
    for status, cell in re.findall(r"^\| ([45][0-9]{2}) \| (.*?) \|", TEXT, re.MULTILINE):
        for code in re.findall(r"`([a-z-]+)`", cell):
            assert code in known
            if code not in ("usage", "error", "timed-out", "denied"):  # codes of several statuses
                assert STATUS_OF[code] == int(status)
