"""A process that ends while a file goes up to a bucket."""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import sys
import threading

from tests.support.handlers import handling

_ENDS_AMID_AN_UPLOAD = """
import sys, tempfile, threading
from casync.errors import StoppedError
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage

keys = {"access_key_id": "k", "secret_access_key": "s", "region": "us-east-1"}
storage = open_storage("s3://bucket", SourceOptions(s3_endpoint=sys.argv[1], s3=keys))
file = tempfile.TemporaryFile()
file.truncate(1 << 40)
stopped = threading.Event()

def put():
    try:
        storage.put("head", file)
    except StoppedError:
        stopped.set()

threading.Thread(target=put).start()
sys.stdin.readline()
storage.close()
assert stopped.wait(60)
"""


def test_a_process_that_ends_amid_an_upload_ends_well() -> None:
    """Threads of the library that are in Python by then would abort it."""
    parts = threading.Semaphore(0)

    class Taking(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            left = int(self.headers.get("Content-Length", "0"))
            while left > 0 and (data := self.rfile.read(min(left, 1 << 20))):
                left -= len(data)
            root = "InitiateMultipartUploadResult"
            body = f"<{root}><UploadId>u</UploadId></{root}>".encode()
            self.send_response(200)
            self.send_header("ETag", '"e"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.answer()

        def do_PUT(self) -> None:
            self.answer()
            parts.release()

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    with handling(Taking) as port:
        command = [sys.executable, "-c", _ENDS_AMID_AN_UPLOAD, f"http://127.0.0.1:{port}"]
        for _ in range(3):
            with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as run:
                for _ in range(4):
                    parts.acquire()
                _, err = run.communicate(b"\n", timeout=60)
            assert (run.returncode, err) == (0, b"")
