"""A real HDFS for tests: the NameNode and a DataNode of Hadoop, from the jars of a Python package.

pyspark 2.4 carries the server classes of Hadoop 2.7; any Java 17 runs them. The jars are fetched
once, to a folder of the user's cache. Where they or Java are missing, the tests are skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.debian import UnavailableError
from tests.support.web_servers import free_port

PACKAGE = "pyspark==2.4.8"
READY_SECONDS = 120.0

_SERVERS = "org.apache.hadoop.hdfs.server"
_LOG = """log4j.rootLogger=INFO,c
log4j.appender.c=org.apache.log4j.ConsoleAppender
log4j.appender.c.layout=org.apache.log4j.SimpleLayout
"""


def _jars() -> Path:
    """The folder of the jars."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(home, "casync-tests", "hadoop")
    root.mkdir(parents=True, exist_ok=True)
    jars = root / "jars"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.exists():
            _fetch(root, jars)
    return jars


def _fetch(root: Path, jars: Path) -> None:
    constraints = root / "constraints.txt"
    constraints.write_text("pypandoc<1.7\n")  # what its setup script can work with
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
    try:
        subprocess.run(
            [*command, "-d", str(root), PACKAGE],
            env={**os.environ, "PIP_CONSTRAINT": str(constraints)},
            check=True,
            capture_output=True,
            timeout=600,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"pip cannot get {PACKAGE}: {error}") from error
    (archive,) = root.glob("pyspark-*.tar.gz")
    unfinished = root / "unfinished"
    unfinished.mkdir(exist_ok=True)
    with tarfile.open(archive) as packed:
        for member in packed:
            if "/deps/jars/" in member.name and member.isfile():
                member.name = Path(member.name).name
                packed.extract(member, unfinished, filter="data")
    unfinished.rename(jars)
    archive.unlink()


def _settings(path: Path, values: Mapping[str, object]) -> None:
    rows = "".join(
        f"<property><name>{name}</name><value>{value}</value></property>\n"
        for name, value in values.items()
    )
    path.write_text(f"<configuration>\n{rows}</configuration>\n")


def _configure(home: Path, port: int) -> None:
    """Writes the configuration of both servers."""
    (home / "log4j.properties").write_text(_LOG)
    _settings(
        home / "core-site.xml",
        {"fs.defaultFS": f"hdfs://127.0.0.1:{port}", "hadoop.tmp.dir": home / "tmp"},
    )
    addresses = ("namenode.http-address", "datanode.address", "datanode.http.address")
    _settings(
        home / "hdfs-site.xml",
        {f"dfs.{name}": f"127.0.0.1:{free_port()}" for name in (*addresses, "datanode.ipc.address")}
        | {
            "dfs.namenode.name.dir": f"file://{home}/names",
            "dfs.datanode.data.dir": f"file://{home}/data",
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.permissions.enabled": "false",
            "dfs.replication": 1,
            "dfs.webhdfs.enabled": "false",  # its NameNode needs a library that the jars lack
        },
    )
    for role in ("hdfs", "datanode"):
        (home / "webapps" / role / "WEB-INF").mkdir(parents=True)


@contextlib.contextmanager
def hdfs(home: Path) -> Iterator[str]:
    """A file system with nothing in it; gives its address.

    Args:
        home: A folder of its own.

    Raises:
        UnavailableError: It is not available.
    """
    java = shutil.which("java")
    if java is None:
        raise UnavailableError("Java is missing: apt install openjdk-17-jre-headless")
    port = free_port()
    _configure(home, port)
    opened = ("java.lang", "java.nio", "sun.nio.ch", "java.util", "java.net")
    options = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in opened]
    options += ["-Xmx256m", "-Djava.net.preferIPv4Stack=true", f"-Dhadoop.home.dir={home}"]
    base = [java, *options, "-cp", f"{home}:{_jars()}/*"]
    name_node = [*base, f"{_SERVERS}.namenode.NameNode"]
    subprocess.run(
        [*name_node, "-format", "-force", "-nonInteractive"], check=True, capture_output=True
    )
    with (
        _running(name_node, home / "name.log"),
        _running([*base, f"{_SERVERS}.datanode.DataNode"], home / "data.log") as data_node,
    ):
        deadline = time.monotonic() + READY_SECONDS
        while "Successfully sent block report" not in (home / "data.log").read_text():
            assert data_node.poll() is None, (home / "data.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "HDFS is not ready"
            time.sleep(0.2)
        yield f"hdfs://127.0.0.1:{port}"


@contextlib.contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
