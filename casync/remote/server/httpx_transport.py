"""The transport of httpx: requests go over watched connections, and httptools reads the answers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from casync.remote.http.pool import HttpPool
from casync.remote.http.response import HttpResponse

__all__ = ["PoolTransport"]


class PoolTransport(httpx.BaseTransport):
    """Sends the requests of an httpx client over a pool, whose errors pass through.

    The answer's extension `network_stream` is the `WatchedStream` that it comes over.
    """

    def __init__(self, pool: HttpPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request. The body of the answer is read lazily."""
        stream = request.stream
        assert isinstance(stream, httpx.SyncByteStream)
        answer = self._pool.send(
            request.method,
            request.url.raw_path,
            request.headers.raw,
            request.content if isinstance(stream, httpx.ByteStream) else stream,
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_AnswerStream(answer),
            extensions={"network_stream": answer.stream},
        )

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()


class _AnswerStream(httpx.SyncByteStream):
    def __init__(self, answer: HttpResponse) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.body()

    def close(self) -> None:
        self._answer.close()
