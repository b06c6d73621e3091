"""Buckets whose server cannot be reached, or refuses: what is reported."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from casync.errors import (
    CasyncError,
    DeniedError,
    NotFoundError,
    RemoteError,
    UnreachableError,
    UsageError,
)
from casync.jobs.fault import ObjectFaultKind
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.support.certificates import make_authority, make_certificate
from tests.support.scripted_server import ScriptedServer, reply

KEYS = {"access_key_id": "a", "secret_access_key": "b", "region": "x"}
AZURE = {"account_name": "a", "account_key": "AAAA"}


def failure(endpoint: str, address: str = "s3://bucket/key", timeout: float = 5.0) -> CasyncError:
    """What a look-up of an object ends with."""
    options = SourceOptions(
        s3_endpoint=endpoint,
        s3=KEYS,
        gs_endpoint=endpoint,
        gs={"skip_signature": "true"},
        az_endpoint=endpoint,
        az=AZURE,
        timeout=timeout,
        retry_for=0.0,
    )
    with Sources(options) as sources:
        source, key = sources.open(address)
        with pytest.raises(CasyncError) as raised:
            list(source.list_below(key + "/"))
        return raised.value


def test_servers_that_cannot_be_reached_are_told_apart(tmp_path: Path) -> None:
    refused = failure("http://127.0.0.1:1")
    assert (type(refused), refused.fault) == (UnreachableError, "connect")
    assert refused.message == "cannot reach s3://bucket/key/: Connection refused"
    unknown = failure("http://does-not-exist.invalid")
    assert (type(unknown), unknown.fault) == (UnreachableError, "dns")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        late = failure(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
    assert (type(late), late.fault) == (UnreachableError, "timeout")
    assert "does not answer in time" in late.message
    make_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path, "server", "127.0.0.1"))
    with ScriptedServer(lambda asked: reply(404), tls=context) as server:
        untrusted = failure(server.url)
    assert (type(untrusted), untrusted.fault) == (RemoteError, "tls")


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("s3://bucket/key", "AWS_SKIP_SIGNATURE"),
        ("gs://bucket/key", "GOOGLE_SKIP_SIGNATURE"),
        ("az://container/key", "AZURE_SKIP_SIGNATURE"),
    ],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, DeniedError),
        (403, DeniedError),
        (404, NotFoundError),
        (400, RemoteError),
        (503, UnreachableError),
    ],
)
def test_refusals_have_their_status(
    address: str, advice: str, status: int, kind: type[CasyncError]
) -> None:
    """D2."""
    body = b"<Error><Code>Why</Code><Message>because</Message></Error>"
    with ScriptedServer(lambda asked: reply(status, body)) as server:
        error = failure(server.url, address)
    assert type(error) is kind
    assert (error.fault, error.status) == ("http", status)
    if kind is DeniedError:
        assert advice in error.next_step


@pytest.mark.parametrize("key", ["a//b", "/x", "a/../b", "./x"])
def test_a_key_that_is_not_a_path_has_a_fault_of_its_own(key: str) -> None:
    """D2: no request is made, and the job does not try again."""
    with Sources(SourceOptions(s3_endpoint="http://127.0.0.1:1")) as sources:
        source, found = sources.open(f"s3://bucket/{key}")
        with pytest.raises(UsageError, match="cannot request") as caught:
            source.open(found)
    assert caught.value.fault == ObjectFaultKind.NAME
