"""An S3 server in memory for tests: moto, as a process of its own.

moto compares and writes without a lock, so it answers one request at a time here.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tests.support.web_servers import free_port, running

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

KEY, SECRET, REGION = "testkey", "testsecret", "us-east-1"


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """A server for a while, with an empty bucket named `bucket`; gives its URL."""
    port = free_port()
    with running([sys.executable, "-m", "tests.support.moto_server", str(port)], port):
        url = f"http://127.0.0.1:{port}"
        request = urllib.request.Request(f"{url}/bucket", method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        yield url


def _serve(port: int) -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def one_by_one(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with lock:
            return list(application(environ, start_response))

    run_simple("127.0.0.1", port, one_by_one, threaded=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
