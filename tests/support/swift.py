"""A real S3 server for tests: OpenStack Swift with its S3 API, from Debian's packages.

Nothing is installed: see `tests.support.debian`.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import http.client
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from tests.support.debian import SWIFT, unpacked

KEY, SECRET, REGION = "test:tester", "testing", "us-east-1"
READY_SECONDS = 180.0  # its five programs take long to start on a busy machine
_KINDS = ("object", "container", "account")
_PIPELINE = (
    "catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth bulk slo dlo "
    "symlink proxy-logging proxy-server"
)
_PLAIN_FILTERS = [
    "catch_errors",
    "gatekeeper",
    "healthcheck",
    "listing_formats",
    "bulk",
    "slo",
    "dlo",
    "symlink",
]

_RUN = """
import sys, swift.common.utils as utils, swift.common.storage_policy as policy
utils.SWIFT_CONF_FILE = policy.SWIFT_CONF_FILE = sys.argv.pop(1)  # Debian's is below /etc
script = sys.argv.pop(1)
exec(compile(open(script).read(), script, "exec"), {"__name__": "__main__"})
"""


class Swift:
    """A running server. Each has storage and ports of its own.

    Args:
        root: Where the packages are unpacked.
        home: Its own folder.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self._root = root
        self._home = home
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports: list[int] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
        }

    def start(self) -> None:
        """Starts all its processes, and waits until it answers."""
        ports = self._ports = _free_ports(5)
        self.port = ports[0]
        (self._home / "devices" / "d1").mkdir(parents=True)
        (self._home / "run").mkdir()
        self._write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = s\n"
                    "swift_hash_path_prefix = p\n[storage-policy:0]\nname = gold\n"
                    "default = yes\n")  # fmt: skip
        for kind, port in zip(_KINDS, ports[1:4], strict=True):
            self._configure(kind, port)
        self._configure_proxy(ports[0], ports[4])
        memcached = shutil.which("memcached") or str(self._root / "usr/bin/memcached")
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self._run([memcached, *user, "-l", "127.0.0.1", "-p", str(ports[4]), "-m", "32"], "cache")
        for kind in (*_KINDS, "proxy"):
            script = self._root / f"usr/bin/swift-{kind}-server"
            command = ["/usr/bin/python3", "-c", _RUN, str(self._home / "swift.conf"), str(script)]
            self._run([*command, str(self._home / f"{kind}.conf")], kind)
        self._wait()

    def close(self) -> None:
        """Ends its processes."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def put(self, path: str, data: bytes = b"") -> None:
        """Makes a bucket (`/bucket`) or an object (`/bucket/key`), whatever its key."""
        for _ in range(50):
            status, answer = self._ask("PUT", path, data)
            if status != 503:  # when the machine is busy
                break
            time.sleep(0.1)
        assert status == 200, answer

    def delete(self, path: str) -> None:
        """Removes an object."""
        status, answer = self._ask("DELETE", path, b"")
        assert status == 204, answer

    def _ask(self, method: str, path: str, data: bytes) -> tuple[int, bytes]:
        """One request with version 4 of Amazon's signatures, after its documentation."""
        target = urllib.parse.quote(path)
        moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
        headers = {
            "host": f"127.0.0.1:{self.port}",
            "x-amz-content-sha256": hashlib.sha256(data).hexdigest(),
            "x-amz-date": moment,
        }
        names = ";".join(headers)
        lines = [f"{name}:{value}" for name, value in headers.items()]
        request = "\n".join(
            [method, target, "", *lines, "", names, headers["x-amz-content-sha256"]]
        )
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{SECRET}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}"
        )
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _configure(self, kind: str, port: int) -> None:
        self._write(f"{kind}.conf", f"{self._common(port)}devices = {self._home}/devices\n"
                    "mount_check = false\nfallocate_reserve = 0\n"
                    f"[pipeline:main]\npipeline = {kind}-server\n"
                    f"[app:{kind}-server]\nuse = egg:swift#{kind}\n"
                    f"recon_cache_path = {self._home}/run\n")  # fmt: skip
        builder = self._root / "usr/bin/swift-ring-builder"
        for words in ("create 6 1 0", f"add r1z1-127.0.0.1:{port}/d1 1", "rebalance"):
            command = ["/usr/bin/python3", str(builder), f"{kind}.builder", *words.split()]
            done = subprocess.run(
                command, cwd=self._home, env=self._variables, check=False, capture_output=True
            )
            assert done.returncode in (0, 1), done  # 1 is a warning: there is one device only

    def _configure_proxy(self, port: int, memory: int) -> None:
        filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _PLAIN_FILTERS)
        self._write("proxy.conf", f"{self._common(port)}[pipeline:main]\npipeline = {_PIPELINE}\n"
                    "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
                    "error_suppression_interval = 0\n"
                    "[filter:tempauth]\nuse = egg:swift#tempauth\n"
                    "user_test_tester = testing .admin\n"
                    f"[filter:s3api]\nuse = egg:swift#s3api\ns3_acl = false\nlocation = {REGION}\n"
                    f"[filter:cache]\nuse = egg:swift#memcache\n"
                    f"memcache_servers = 127.0.0.1:{memory}\n"
                    f"[filter:proxy-logging]\nuse = egg:swift#proxy_logging\n"
                    f"{filters}")  # fmt: skip

    def _common(self, port: int) -> str:
        user = subprocess.run(["id", "-un"], check=True, capture_output=True).stdout.decode()
        return (f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nuser = {user}"
                f"swift_dir = {self._home}\nworkers = 0\n")  # fmt: skip

    @property
    def _variables(self) -> dict[str, str]:
        libraries = ":".join(str(self._root / place / _triplet()) for place in ("usr/lib", "lib"))
        return {
            **os.environ,
            "PYTHONPATH": str(self._root / "usr/lib/python3/dist-packages"),
            "LD_LIBRARY_PATH": libraries,
        }

    def _write(self, name: str, text: str) -> None:
        (self._home / name).write_text(text)

    def _run(self, command: list[str], name: str) -> None:
        with (self._home / "run" / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self._home, env=self._variables, stdout=log, stderr=log
            )
        self._processes.append(process)

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            # The proxy answers before the servers behind it, and remembers their failures.
            with contextlib.suppress(OSError):
                for port in self._ports:
                    socket.create_connection(("127.0.0.1", port), timeout=2).close()
                if self._ask("PUT", "/ready", b"")[0] == 200:
                    return
            time.sleep(0.1)
        logs = {log.name: log.read_text()[-2000:] for log in (self._home / "run").glob("*.log")}
        raise AssertionError(f"Swift does not answer: {logs}")


def _triplet() -> str:
    return f"{os.uname().machine}-linux-gnu"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [int(sock.getsockname()[1]) for sock in sockets]


@contextlib.contextmanager
def running(home: Path) -> Iterator[Swift]:
    """A server that runs for a while.

    Raises:
        UnavailableError: The packages are not available.
    """
    swift = Swift(unpacked("swift", SWIFT), home)
    try:
        swift.start()
        yield swift
    finally:
        swift.close()
