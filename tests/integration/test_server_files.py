"""Content of files: whole, in ranges, not modified, and never damaged."""

import os

import pytest

from casync.ids import Kind, chunk_id
from casync.objects.codec import Packed, Packer
from tests.support.server_world import DATA, World, problem


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_a_whole_file(world: World) -> None:
    response = world.ask("GET", "/v1/files/images/vm")
    assert response.status_code == 200
    assert response.content == DATA
    headers = response.headers
    assert headers["content-length"] == str(len(DATA))
    assert headers["content-type"] == "application/octet-stream"
    assert headers["etag"] == f'"{world.new.hex()}"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["content-disposition"] == "attachment; filename=\"vm\"; filename*=UTF-8''vm"
    by_hash = world.ask("GET", f"/v1/files/{world.new.hex()}")
    assert by_hash.content == DATA
    assert "immutable" in by_hash.headers["cache-control"]


def test_an_empty_file_with_an_odd_name(world: World) -> None:
    response = world.ask("GET", "/v1/files/gr%C3%BCn%20&%20co")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"
    disposition = response.headers["content-disposition"]
    assert disposition == (
        "attachment; filename=\"gr_n___co\"; filename*=UTF-8''gr%C3%BCn%20%26%20co"
    )
    ranged = world.ask("GET", "/v1/files/gr%C3%BCn%20&%20co", headers={"range": "bytes=0-"})
    assert ranged.status_code == 416
    assert ranged.headers["content-range"] == "bytes */0"


LAST = len(DATA) - 1


@pytest.mark.parametrize(
    ("field", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-4095", 0, 4096),
        ("bytes=4095-4096", 4095, 4097),
        ("bytes=123456-234567", 123456, 234568),
        (f"bytes={LAST}-", LAST, LAST + 1),
        ("bytes=-1", LAST, LAST + 1),
        ("bytes=-70000", len(DATA) - 70000, len(DATA)),
        ("bytes=300000-399999", 300000, 400000),
        ("bytes=0-99999999999999999999", 0, len(DATA)),
    ],
)
def test_ranges(world: World, field: str, start: int, end: int) -> None:
    """A7: any client of HTTP reads a shard as a plain file."""
    response = world.ask("GET", "/v1/files/images/vm", headers={"range": field})
    assert response.status_code == 206
    assert response.content == DATA[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert response.headers["content-length"] == str(end - start)


@pytest.mark.parametrize(
    ("field", "status"),
    [
        (f"bytes={len(DATA)}-", 416),
        ("bytes=-0", 416),
        ("bytes=0-1,5-6", 416),
        ("bytes=" + ",".join(["0-0"] * 1000), 416),
        ("bytes=5-2", 400),
        ("bytes=-1-2", 400),
        ("bytes=x", 400),
        ("items=0-1", 200),
    ],
)
def test_ranges_that_are_refused(world: World, field: str, status: int) -> None:
    response = world.ask("GET", "/v1/files/images/vm", headers={"range": field})
    assert response.status_code == status
    if status == 416:
        assert response.headers["content-range"] == f"bytes */{len(DATA)}"
        problem(response, 416, "usage")


def test_validators(world: World) -> None:
    url, tag = "/v1/files/images/vm", f'"{world.new.hex()}"'
    part = {"range": "bytes=0-9"}
    assert world.ask("GET", url, headers={"if-none-match": tag}).status_code == 304
    assert world.ask("GET", url, headers={"if-none-match": f'"x", W/{tag}'}).status_code == 304
    assert world.ask("GET", url, headers={"if-none-match": '"x"'}).status_code == 200
    assert world.ask("GET", url, headers=part | {"if-range": tag}).status_code == 206
    assert world.ask("GET", url, headers=part | {"if-range": '"x"'}).status_code == 200
    assert world.ask("GET", url, headers=part | {"if-range": f"W/{tag}"}).status_code == 200
    kept = world.ask("GET", url, headers={"if-none-match": tag}).headers
    assert kept["etag"] == tag
    assert kept["cache-control"] == "no-cache"


def test_head_has_the_fields_and_no_bytes(world: World) -> None:
    response = world.ask("HEAD", "/v1/files/images/vm", headers={"range": "bytes=0-9"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(DATA))


def test_a_damaged_first_chunk_is_500_and_named() -> None:
    world = World()
    first = chunk_id(DATA[:4096])
    packed = world.store._tables.objects[(Kind.CHUNK, first)]
    wrong = Packer().pack(Kind.CHUNK, first, os.urandom(4096))
    for replacement in (Packed(*wrong), packed._replace(payload=packed.payload[:-1]), None):
        if replacement is None:
            del world.store._tables.objects[(Kind.CHUNK, first)]
        else:
            world.store._tables.objects[(Kind.CHUNK, first)] = replacement
        document = problem(world.ask("GET", "/v1/files/images/vm"), 500, "damaged-object")
        assert first.hex() in document.detail
        assert first.hex() in world.lines[-1]
        part = world.ask("GET", "/v1/files/images/vm", headers={"range": "bytes=8192-9000"})
        assert part.content == DATA[8192:9001]


def test_a_damaged_manifest_is_500_and_named() -> None:
    world = World()
    del world.store._tables.objects[(Kind.MANIFEST, world.new)]
    for route in ("manifests", "files"):
        document = problem(world.ask("GET", f"/v1/{route}/images/vm"), 500, "damaged-object")
        assert world.new.hex() in document.detail
