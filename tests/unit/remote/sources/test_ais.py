"""AIStore: redirects to nodes, checksums, providers, and listings in pages."""

from __future__ import annotations

import json

import pytest

from casync.errors import NotFoundError, RemoteProtocolError, UsageError
from casync.jobs.checksum import Checksum
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.support.ais_cluster import ais_cluster
from tests.support.scripted_server import ScriptedServer, reply

OBJECTS = {f"set/{number:02}": b"%d" % number for number in range(5)} | {"other": b"x"}
ONCE = SourceOptions(retry_for=0.0)


def test_an_object_comes_from_the_node_that_has_it_with_its_checksum() -> None:
    """D2, D11: the query of the address travels along."""
    with ais_cluster(OBJECTS) as there, Sources() as sources:
        source, key = sources.open(f"{there.url}/set/0{3}?provider=s3")
        assert key == "set/03"
        answer = source.open(key)
        assert answer is not None
        with answer:
            assert b"".join(answer.blocks()) == b"3"
            assert answer.listed.key == key
            (checksum,) = answer.listed.validators.checksums
            assert isinstance(checksum, Checksum)
            assert checksum.algorithm == "sha256"
        assert there.asked == [{"provider": ["s3"]}]


def test_only_objects_below_a_prefix_are_listed() -> None:
    """D7."""
    with ais_cluster(OBJECTS) as there, Sources() as sources:
        source, key = sources.open(f"{there.url}/set/")
        assert [one.key for one in source.list_below(key)] == sorted(OBJECTS)[1:]
        missing, key = sources.open(f"ais://127.0.0.1:{there.port}/nothing/")
        with pytest.raises(NotFoundError):
            list(missing.list_below(key))


@pytest.mark.parametrize("address", ["ais://host", "ais://host/", "ais://u:p@host/b/o"])
def test_an_address_has_a_host_and_a_bucket(address: str) -> None:
    with Sources() as sources, pytest.raises(UsageError):
        sources.open(address)


@pytest.mark.parametrize(
    "document",
    [
        b"<html>",
        b'{"entries": [{}]}',
        b'{"entries": [{"name": "a", "size": "-1"}]}',
        json.dumps({"entries": [], "continuation_token": "again"}).encode(),
    ],
)
def test_answers_that_are_no_listing_are_refused(document: bytes) -> None:
    """D10."""
    with ScriptedServer(lambda _: reply(200, document)) as server, Sources(ONCE) as sources:
        source, _ = sources.open(f"ais://127.0.0.1:{server.port}/b/")
        with pytest.raises(RemoteProtocolError):
            list(source.list_below(""))
