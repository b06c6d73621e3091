"""A real Ceph for tests: a monitor, an OSD and the S3 gateway, from Debian's packages.

Nothing is installed: see `tests.support.debian`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.debian import CEPH, unpacked

KEY, SECRET, REGION = "testkey", "testsecret", "default"
READY_SECONDS = 180.0
_PORTS = 12
_OSD_BYTES = 20 << 30  # of a sparse file

_CONFIGURATION = """[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{old_mon}]
public_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_port_min = {first}
ms_bind_port_max = {last}
mon_warn_on_insecure_global_id_reclaim = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_warn_on_pool_no_redundancy = false
osd_objectstore = bluestore
bluestore_block_size = {osd_bytes}
bluestore_block_create = true
bluestore_block_db_create = false
bluestore_block_wal_create = false
osd_memory_target = 1073741824
osd_class_dir = {libraries}/rados-classes
erasure_code_dir = {libraries}/ceph/erasure-code
plugin_dir = {libraries}/ceph
run_dir = {home}
mon_cluster_log_file = {home}/cluster.log
admin_socket = {home}/$name.asok
log_file = {home}/$name.log
crash_dir = {home}/crash
pid_file = {home}/$name.pid
mon_data = {home}/mon
osd_data = {home}/osd
rgw_data = {home}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{gateway}
keyring = {home}/keyring
[osd]
keyring = {home}/osd/keyring
"""


class Ceph:
    """A cluster of one. Each has storage and ports of its own.

    Args:
        root: Where the packages are unpacked.
        home: Its own folder. Its path must be short: sockets lie in it.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self._root = root
        self._home = home
        self._processes: list[subprocess.Popen[bytes]] = []
        self._libraries = root / f"usr/lib/{os.uname().machine}-linux-gnu"
        self._port = _free_row()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts everything, and makes a user."""
        for name in ("mon", "osd", "rgw", "crash"):
            (self._home / name).mkdir()
        fsid = str(uuid.uuid4())
        self._write_configuration(fsid)
        self._make_keys()
        self._start_monitor(fsid)
        self._start_osd()
        self._start("radosgw", "-n", "client.admin")
        self._wait(self._gateway_answers)
        user = ["--uid", "test", "--display-name", "test"]
        keys = ["--access-key", KEY, "--secret", SECRET]
        self._run("radosgw-admin", "user", "create", *user, *keys)

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _write_configuration(self, fsid: str) -> None:
        text = _CONFIGURATION.format(
            fsid=fsid,
            gateway=self._port,
            mon=self._port + 1,
            old_mon=self._port + 2,
            first=self._port + 3,
            last=self._port + _PORTS - 1,
            osd_bytes=_OSD_BYTES,
            libraries=self._libraries,
            home=self._home,
        )
        (self._home / "ceph.conf").write_text(text)

    def _make_keys(self) -> None:
        keyring = str(self._home / "keyring")
        everything = [word for part in ("mon", "osd") for word in ("--cap", part, "allow *")]
        new = ["--gen-key", "-n"]
        self._run("ceph-authtool", "--create-keyring", keyring, *new, "mon.", *everything[:3])
        self._run("ceph-authtool", keyring, *new, "client.admin", *everything)

    def _start_monitor(self, fsid: str) -> None:
        addresses = f"[v2:127.0.0.1:{self._port + 1},v1:127.0.0.1:{self._port + 2}]"
        map_ = str(self._home / "monmap")
        self._run("monmaptool", "--create", "--addv", "a", addresses, "--fsid", fsid, map_)
        keyring = str(self._home / "keyring")
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map_, "--keyring", keyring)
        self._start("ceph-mon", "-i", "a")
        self._wait(lambda: self._ask("status") is not None)

    def _start_osd(self) -> None:
        name = str(uuid.uuid4())
        assert self._ask("osd", "new", name) is not None
        keyring = str(self._home / "osd/keyring")
        rights = ["mon", "allow profile osd", "osd", "allow *"]
        assert self._ask("auth", "get-or-create", "osd.0", *rights, "-o", keyring) is not None
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", name)
        self._start("ceph-osd", "-i", "0")
        self._wait(lambda: "1 up" in (self._ask("osd", "stat") or ""))

    def _gateway_answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(self.url, timeout=5) as answer:
            return b"ListAllMyBuckets" in answer.read()
        return False

    def _start(self, name: str, *words: str) -> None:
        with (self._home / f"{name}.out").open("wb") as log:
            command = [self._program(name), "-f", "-c", str(self._home / "ceph.conf"), *words]
            process = subprocess.Popen(command, env=self._variables, stdout=log, stderr=log)
        self._processes.append(process)

    def _run(self, name: str, *words: str) -> None:
        command = [self._program(name), "-c", str(self._home / "ceph.conf"), *words]
        if name in ("ceph-authtool", "monmaptool"):
            del command[1:3]
        subprocess.run(command, env=self._variables, check=True, capture_output=True, timeout=120)

    def _ask(self, *words: str) -> str | None:
        """The answer of the cluster, or None if there is none."""
        options = ["-c", str(self._home / "ceph.conf"), "--connect-timeout", "5"]
        command = ["/usr/bin/python3", self._program("ceph"), *options, *words]
        done = subprocess.run(command, env=self._variables, check=False, capture_output=True)
        return done.stdout.decode() if done.returncode == 0 else None

    def _wait(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready():
            ended = [one.args for one in self._processes if one.poll() is not None]
            assert not ended, f"{ended} ended: {self._logs()}"
            assert time.monotonic() < deadline, f"Ceph is not ready: {self._logs()}"
            time.sleep(0.3)

    def _logs(self) -> dict[str, str]:
        return {log.name: log.read_text()[-2000:] for log in self._home.glob("*.out")}

    def _program(self, name: str) -> str:
        return str(self._root / "usr/bin" / name)

    @property
    def _variables(self) -> dict[str, str]:
        places = [
            self._libraries,
            self._libraries / "ceph",
            self._root / "lib" / self._libraries.name,
        ]
        return {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(map(str, places)),
            "PYTHONPATH": str(self._root / "usr/lib/python3/dist-packages"),
            "PATH": f"{self._root}/usr/bin:{os.environ.get('PATH', '')}",
        }


def _free_row() -> int:
    """A port on loopback with more behind it."""
    while True:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = int(first.getsockname()[1])
            for each in range(port + 1, port + _PORTS):
                stack.enter_context(socket.create_server(("127.0.0.1", each)))
            return port


@contextlib.contextmanager
def running(home: Path) -> Iterator[str]:
    """A cluster that runs for a while; gives the URL of its gateway.

    Raises:
        UnavailableError: The packages are not available.
    """
    ceph = Ceph(unpacked("ceph", CEPH), home)
    try:
        ceph.start()
        yield ceph.url
    finally:
        ceph.close()
