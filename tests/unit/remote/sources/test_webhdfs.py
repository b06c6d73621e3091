"""WebHDFS: users, refusals, listings in parts, and files that change."""

from __future__ import annotations

import json

import pytest

from casync.errors import (
    CasyncError,
    DeniedError,
    MalformedError,
    NotFoundError,
    RemoteProtocolError,
    SourceChangedError,
    UsageError,
)
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.support.scripted_server import Asked, ScriptedServer, reply
from tests.support.web_hdfs import web_hdfs

FILES = {f"set/{number:02}": b"%d" % number for number in range(9)} | {"set/d/x": b"deep"}
ONCE = SourceOptions(retry_for=0.0)


def test_requests_name_the_user_of_the_address() -> None:
    """D2."""
    with web_hdfs(FILES) as there, Sources() as sources:
        source, key = sources.open(f"webhdfs://al%20ice@127.0.0.1:{there.port}/set/")
        assert sorted(one.key for one in source.list_below(key)) == sorted(FILES)
        assert {user for _, user in there.asked} == {"al%20ice"}
        assert [op for op, _ in there.asked].count("LISTSTATUS_BATCH") == 6
        assert "al" not in source.label + source.place
        anonymous, key = sources.open(f"{there.url}/set/00")
        assert anonymous.find(key) is not None
        assert there.asked[-1] == ("GETFILESTATUS", "")


def test_a_server_without_batches_is_asked_once_for_them() -> None:
    """D2."""
    with web_hdfs(FILES, has_batches=False) as there, Sources() as sources:
        source, key = sources.open(f"{there.url}/set/")
        assert sorted(one.key for one in source.list_below(key)) == sorted(FILES)
        assert [op for op, _ in there.asked] == ["LISTSTATUS_BATCH", "LISTSTATUS", "LISTSTATUS"]


def test_what_may_not_be_read_is_denied() -> None:
    with web_hdfs(FILES) as there, Sources() as sources:
        there.forbidden.add("set/00")
        source, key = sources.open(f"{there.url}/set/00")
        with pytest.raises(DeniedError, match="AccessControlException: denied") as denied:
            source.find(key)
        assert (denied.value.fault, denied.value.status) == ("http", 403)
        with pytest.raises(NotFoundError):
            list(source.list_below("nothing/"))
        with pytest.raises(NotFoundError, match="is a file"):
            list(source.list_below("set/01/"))


def test_a_file_that_shrinks_while_it_is_read_has_changed() -> None:
    """D11."""
    with web_hdfs(FILES) as there, Sources() as sources:
        source, key = sources.open(f"{there.url}/set/d/x")
        found = source.find(key)
        assert found is not None
        there.files[key] = b"de"
        answer = source.open(key, unless=found.validators)
        assert answer is not None
        with answer:
            assert b"".join(answer.blocks()) == b"de"
        original = there.status

        def stale(path: str, suffix: str) -> dict[str, object] | None:
            status = original(path, suffix)
            return status and status | {"length": 4}

        there.status = stale  # type: ignore[method-assign]
        answer = source.open(key)
        assert answer is not None
        with answer, pytest.raises(SourceChangedError):
            list(answer.blocks())


@pytest.mark.parametrize("address", ["webhdfs://u:p@host/a", "webhdfs:///a", "webhdfs://a b/c"])
def test_an_address_has_a_host_and_no_password(address: str) -> None:
    with Sources() as sources, pytest.raises(UsageError) as refused:
        sources.open(address)
    assert "u:p" not in refused.value.message


def status(name: str, kind: str = "FILE") -> dict[str, object]:
    return {"pathSuffix": name, "type": kind, "length": 1, "modificationTime": 5}


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (b"<html>", RemoteProtocolError),
        (b"{}", RemoteProtocolError),
        (b'{"FileStatuses": {"FileStatus": [{"pathSuffix": 5}]}}', RemoteProtocolError),
        (json.dumps({"FileStatuses": {"FileStatus": [status("../x")]}}).encode(), MalformedError),
        (json.dumps({"FileStatuses": {"FileStatus": [status("..")]}}).encode(), MalformedError),
    ],
)
def test_answers_that_are_no_listing_are_refused(document: bytes, error: type[CasyncError]) -> None:
    def script(asked: Asked) -> bytes:
        if "LISTSTATUS_BATCH" in asked.target:
            text = b'{"RemoteException": {"exception": "x", "message": "LISTSTATUS_BATCH"}}'
            return reply(400, text)
        return reply(200, document)

    with ScriptedServer(script) as server, Sources(ONCE) as sources:
        source, _ = sources.open(f"webhdfs://127.0.0.1:{server.port}/")
        with pytest.raises(error):
            list(source.list_below(""))


def test_a_listing_in_parts_ends() -> None:
    """D10: a server that says that more remains, and sends the same again."""
    page = {"partialListing": {"FileStatuses": {"FileStatus": [status("a")]}}}
    body = json.dumps({"DirectoryListing": page | {"remainingEntries": 1}}).encode()
    with ScriptedServer(lambda _: reply(200, body)) as server, Sources(ONCE) as sources:
        source, _ = sources.open(f"webhdfs://127.0.0.1:{server.port}/")
        with pytest.raises(RemoteProtocolError, match="without an end"):
            list(source.list_below(""))
