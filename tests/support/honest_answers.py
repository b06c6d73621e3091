"""What an honest web server answers, and a source that reads from scripts like it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import pytest

from casync.errors import CasyncError
from casync.jobs.validators import Validators
from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.support.scripted_server import Asked, ScriptedServer, reply

DATA = random.Random(7).randbytes(1_000_000)
ETAG = '"one"'
STRONG = Validators(etag=ETAG)
ONCE = SourceOptions(retry_for=0.0)
RANGES = "bytes"

Script = Callable[[Asked], bytes | Iterator[bytes]]


@contextlib.contextmanager
def serving(
    script: Script, options: SourceOptions = ONCE
) -> Iterator[tuple[ScriptedServer, RemoteSource]]:
    """A server, and the source of its folder `/d`."""
    with ScriptedServer(script) as server, Sources(options) as sources:
        source, key = sources.open(f"{server.url}/d/")
        assert key == ""
        yield server, source


def honest(asked: Asked, data: bytes = DATA, etag: str = ETAG) -> bytes:
    """What a server with ranges answers."""
    if asked.fields.get("if-none-match") == etag:
        return reply(304, ETag=etag)
    wanted = asked.range
    if wanted is None or asked.fields.get("if-range", etag) != etag:
        body = b"" if asked.method == "HEAD" else data
        return reply(200, body, ETag=etag, Content_Length=str(len(data)))
    start, end = wanted[0], min(wanted[1] or len(data), len(data))
    if start >= len(data):
        return reply(416, Content_Range=f"bytes */{len(data)}")
    content_range = f"bytes {start}-{end - 1}/{len(data)}"
    return reply(206, data[start:end], ETag=etag, Content_Range=content_range)


def read(
    source: RemoteSource, key: str = "x", start: int = 0, end: int | None = None
) -> tuple[int, bytes]:
    answer = source.open(key, start, end, same=STRONG)
    assert answer is not None
    with answer:
        return answer.start, b"".join(answer.blocks())


def fails(
    script: Script, kind: type[CasyncError], fault: str, options: SourceOptions = ONCE
) -> CasyncError:
    """Reading an object fails in this way."""
    with serving(script, options) as (_, source):
        with pytest.raises(kind) as raised:
            read(source)
        assert type(raised.value) is kind
        assert raised.value.fault == fault
        return raised.value
