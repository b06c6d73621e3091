"""Many files and members as one tar."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI

from casync.archives import plain_bytes
from casync.ids import Kind
from casync.limits import MAX_BATCH_ITEMS, MAX_BATCH_REQUEST
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from tests.support.server_world import problem
from tests.support.serving import ask, put_file, serving_here
from tests.support.tree_worlds import prepared

LARGE = os.urandom(3_000_000)
SAMPLES = {f"{number:03}.txt": f"sample {number}\n".encode() * number for number in range(300)}
LONG = "/".join(["a long folder"] * 30)


def tar_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "007.txt"
        archive.addfile(link)
        symlink = tarfile.TarInfo("symlink")
        symlink.type, symlink.linkname = tarfile.SYMTYPE, "007.txt"
        archive.addfile(symlink)
    return made.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


class Shards:
    """A store with shards, files and a folder, and the application over it."""

    def __init__(self, root: Path) -> None:
        self.store = MemoryStore()
        self.tar = put_file(self.store, tar_of(SAMPLES), name="shards/0.tar")
        self.zip = put_file(self.store, zip_of(SAMPLES), name="shards/1.zip")
        put_file(self.store, LARGE[::-1], name="large")
        put_file(self.store, LARGE, name="large")
        put_file(self.store, b"", name="empty")
        put_file(self.store, b"text", name="text.tar")
        (root / "sub").mkdir(parents=True)
        (root / "sub" / "page").write_bytes(b"page")
        (root / "sub" / "inner.tar").write_bytes(tar_of(SAMPLES))
        (root / "latest").symlink_to("sub/page")
        self.tree = prepared(root, self.store).manifest
        self.store.commit(Batch(names=[NameUpdate(Name("site/www"), self.tree)]))
        settings = ServerSettings(piece_bytes=50_000)
        self.app: FastAPI = create_app(self.store, settings, sink=lambda _: None)

    def ask(self, *items: dict[str, Any], **options: Any) -> httpx.Response:
        return ask(self.app, "POST", "/v1/batch", json={"in": items, **options})

    def get(self, *items: dict[str, Any], **options: Any) -> list[tuple[str, bytes]]:
        answer = self.ask(*items, **options)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-tar"
        assert answer.headers["cache-control"] == "no-store"
        assert int(answer.headers["content-length"]) == len(answer.content)
        return unpacked(answer.content)


def unpacked(data: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = []
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            found.append((member.name, file.read()))
        return found


def item(ref: str, path: str = "", **fields: Any) -> dict[str, Any]:
    return {"objname": ref, **({"archpath": path} if path else {}), **fields}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return Shards(tmp_path_factory.mktemp("www"))


def test_members_of_many_refs_come_in_the_order_asked(shards: Shards) -> None:
    """A2"""
    names = [f"{number * 7 % 300:03}.txt" for number in range(300)]
    asked = [item(("shards/0.tar", "shards/1.zip")[n % 2], name) for n, name in enumerate(names)]
    found = shards.get(*asked)
    assert found == [
        (f"{one['objname']}/{one['archpath']}", SAMPLES[one["archpath"]]) for one in asked
    ]


def test_files_folders_versions_and_archives_in_folders_are_one_batch(shards: Shards) -> None:
    asked = [
        item("large"),
        item("site/www", "sub/inner.tar/123.txt"),
        item("large@1"),
        item("empty"),
        item("site/www", "sub/page"),
        item(shards.tree.hex(), "./sub//page"),
        item("shards/0.tar", "link"),
        item("large"),
    ]
    assert [data for _, data in shards.get(*asked)] == [
        LARGE,
        SAMPLES["123.txt"],
        LARGE[::-1],
        b"",
        b"page",
        b"page",
        SAMPLES["007.txt"],
        LARGE,
    ]


def test_a_bomb_is_not_sent(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member may be asked for again and again, and each time it is decompressed."""
    monkeypatch.setattr(plain_bytes, "FREE_UNPACKED_BYTES", 3_000_000)
    made = zip_of({"zeros": bytes(2_000_000), "small": b"small"})
    put_file(shards.store, made, name="bomb.zip")
    ratio = (3_000_000 + 200 * len(made)) // 2_000_000
    assert len(shards.get(*[item("bomb.zip", "zeros")] * ratio, item("bomb.zip", "small"))) > 1
    problem(shards.ask(*[item("bomb.zip", "zeros")] * (ratio + 1), coer=True), 500, "malformed")


def test_a_bucket_is_the_beginning_of_the_name(shards: Shards) -> None:
    asked = [item("0.tar", "001.txt", bucket="shards"), item("text.tar")]
    assert [name for name, _ in shards.get(*asked)] == ["shards/0.tar/001.txt", "text.tar"]
    assert [name for name, _ in shards.get(*asked, onob=True)] == ["0.tar/001.txt", "text.tar"]


def test_a_part_of_an_item_is_sent(shards: Shards) -> None:
    asked = [
        item("large", start=1_000_000, length=1_000_000),
        item("large", start=2_999_990),
        item("shards/1.zip", "200.txt", start=5, length=10),
        item("empty", start=0, length=0),
    ]
    assert [data for _, data in shards.get(*asked)] == [
        LARGE[1_000_000:2_000_000],
        LARGE[2_999_990:],
        SAMPLES["200.txt"][5:15],
        b"",
    ]
    problem(shards.ask(item("large", start=1, length=3_000_000)), 400, "usage")
    problem(shards.ask(item("large", start=3_000_001)), 400, "usage")


MISSING = [
    (item("nothing"), 404, "no-name"),
    (item("0" * 64), 404, "no-name"),
    (item("large@3"), 404, "no-name"),
    (item("shards/0.tar", "nothing"), 404, "not-found"),
    (item("site/www", "sub/nothing"), 404, "not-found"),
    (item("site/www", "sub/page/nothing"), 404, "not-found"),
    (item("site/www", "sub"), 400, "usage"),
    (item("site/www", "latest"), 400, "usage"),
    (item("site/www"), 400, "usage"),
    (item("shards/0.tar", "symlink"), 400, "usage"),
    (item("large", "inside"), 400, "usage"),
    (item("0" * 10), 400, "usage"),
    (item("large:inside"), 400, "usage"),
    (item("large", start=4_000_000), 400, "usage"),
]


@pytest.mark.parametrize(("missing", "status", "code"), MISSING)
def test_what_is_missing_is_told_before_the_first_byte_or_is_an_empty_member(
    shards: Shards, missing: dict[str, Any], status: int, code: str
) -> None:
    """A2"""
    asked = [item("large"), missing, item("shards/0.tar", "002.txt")]
    problem(shards.ask(*asked), status, code)
    name = "/".join(filter(None, (missing["objname"], missing.get("archpath"))))
    assert shards.get(*asked, coer=True) == [
        ("large", LARGE),
        (f"__404__/{name}", b""),
        ("shards/0.tar/002.txt", SAMPLES["002.txt"]),
    ]


def test_members_that_cannot_be_read_are_missing(shards: Shards, tmp_path: Path) -> None:
    sparse = io.BytesIO()
    with tarfile.open(fileobj=sparse, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("holes")
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "holes",
            "GNU.sparse.realsize": "4096",
        }
        body = b"1\n0\n4\n".ljust(512, b"\0") + b"data"
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    put_file(shards.store, sparse.getvalue(), name="sparse.tar")
    problem(shards.ask(item("sparse.tar", "holes")), 501, "unsupported")
    assert shards.get(item("sparse.tar", "holes"), coer=True) == [("__404__/sparse.tar/holes", b"")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"in": []},
        {"in": [{}]},
        {"in": [{"objname": ""}]},
        {"in": [{"objname": "large", "start": -1}]},
        {"in": [{"objname": "large", "archpath": "../x"}], "coer": True},
        {"in": [{"objname": "large", "archpath": "x\0"}], "coer": True},
        {"in": [{"objname": "..", "bucket": "large"}], "coer": True},
        {"in": [{"objname": "large"}], "mime": ".zip"},
        {"in": [{"objname": "large"}], "strm": False},
        {"in": [{"objname": "large"}] * (MAX_BATCH_ITEMS + 1)},
    ],
)
def test_other_requests_are_refused(shards: Shards, body: dict[str, Any]) -> None:
    problem(ask(shards.app, "POST", "/v1/batch", json=body), 400, "usage")


def test_requests_are_bounded_and_json(shards: Shards) -> None:
    long = {"in": [item("large", "x" * MAX_BATCH_REQUEST)]}
    problem(ask(shards.app, "POST", "/v1/batch", json=long), 413, "usage")
    body = json.dumps({"in": [item("large")]})
    problem(ask(shards.app, "POST", "/v1/batch", content=body), 415, "usage")


def test_a_request_of_an_aistore_client_is_understood(shards: Shards) -> None:
    asked = item("0.tar", "003.txt", bucket="shards", provider="ais", opaque="aWQ=")
    fields = {"mime": ".tar", "coer": True, "onob": False, "strm": True, "coloc": 0}
    assert shards.get(asked, **fields) == [("shards/0.tar/003.txt", SAMPLES["003.txt"])]


def test_long_names_are_whole(shards: Shards) -> None:
    put_file(shards.store, tar_of({LONG: b"far"}), name="long.tar")
    assert shards.get(item("long.tar", LONG)) == [(f"long.tar/{LONG}", b"far")]


def drop(store: MemoryStore, data: bytes) -> None:
    """Loses a chunk from the middle of a file."""
    objects = store._tables.objects
    large = [key for key, one in objects.items() if key[0] is Kind.CHUNK and one.payload in data]
    del objects[large[len(large) // 2]]


def test_a_batch_with_a_damaged_file_never_ends_cleanly(tmp_path: Path) -> None:
    """A2"""
    shards = Shards(tmp_path / "www")
    drop(shards.store, LARGE)
    body = {"in": [item("shards/0.tar", "001.txt"), item("large"), item("text.tar")], "coer": True}
    with (
        serving_here(shards.app) as base,
        pytest.raises(httpx.RemoteProtocolError, match="without sending complete"),
    ):
        httpx.post(f"{base}/v1/batch", json=body)


def test_a_batch_that_begins_with_damage_is_an_error(tmp_path: Path) -> None:
    """A2"""
    shards = Shards(tmp_path / "www")
    objects = shards.store._tables.objects
    for key in [key for key, one in objects.items() if one.payload == b"text"]:
        del objects[key]
    problem(shards.ask(item("text.tar"), coer=True), 500, "damaged-object")
