"""Writers on several hosts, `kill -9`, and a collector in a loop, on one store in a bucket.

`python -m tests.stress.buckets` starts versitygw; `--store ADDRESS` takes another bucket, with
endpoint and credentials from the environment. With `--hosts` fewer than writers, writers share the
tables of a host. Afterwards all hosts and a new one verify the store, and look for every name that
was acknowledged.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import boto3
import msgspec

from tests.support import go_servers
from tests.support.program import COMMAND, ROOT

_KEYS: Final = {
    "AWS_ACCESS_KEY_ID": "testkey",
    "AWS_SECRET_ACCESS_KEY": "testsecret",
    "AWS_REGION": "us-east-1",
}
_POOL: Final = [random.Random(number).randbytes(300_000) for number in range(40)]
"""Contents that writers share, so that they find what others wrote and removed."""


@dataclass
class Scene:
    """The hosts, and what happened."""

    store: str
    folder: Path
    environment: Mapping[str, str]
    hosts: int
    end: float
    acknowledged: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def begin(self, host: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a command on a host."""
        home = str(self.folder / host)
        return subprocess.Popen(
            [*COMMAND, *arguments, "--store", self.store],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environment, "HOME": home, "XDG_CACHE_HOME": home},
        )

    def run(self, host: str, *arguments: str, stdin: bytes = b"") -> str | None:
        """Runs a command on a host; its output, or None if it failed, which is a fault."""
        process = self.begin(host, *arguments)
        out, error = process.communicate(stdin)
        if process.returncode:
            self.faults.append(f"{arguments[0]}: {process.returncode}: {error.decode()[-300:]}")
            return None
        self.counts[arguments[0]] += 1
        return out.decode()


def write(scene: Scene, number: int) -> None:
    """Prepares, removes, and dies now and then."""
    chance, host = random.Random(number), f"writer-{number % scene.hosts}"
    while time.monotonic() < scene.end:
        name = f"{number}/{chance.randrange(4)}"
        content = b"".join(chance.choice(_POOL) for _ in range(8)) + chance.randbytes(200_000)
        if chance.random() < 0.12:
            scene.acknowledged.pop(name, None)
            kill(scene, host, name, content, after=chance.uniform(0.3, 1.5))
            continue
        if (out := scene.run(host, "prepare", "--name", name, stdin=content)) is not None:
            scene.acknowledged[name] = out.split()[0]
            if chance.random() < 0.4:
                del scene.acknowledged[name]
                scene.run(host, "rm", name)


def kill(scene: Scene, host: str, name: str, content: bytes, *, after: float) -> None:
    """Kills a prepare at some moment."""
    process = scene.begin(host, "prepare", "--name", name)

    def feed() -> None:
        assert process.stdin is not None
        with suppress(OSError), process.stdin as pipe:
            pipe.write(content)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    process.wait()
    feeder.join()
    scene.counts["kill"] += 1


def collect(scene: Scene) -> None:
    """Collects without a pause."""
    while time.monotonic() < scene.end:
        out = scene.run("collector", "gc", "--window", "0", "--json")
        if out is not None:
            scene.counts["deleted objects"] += msgspec.json.decode(out)["objects"]


def judge(scene: Scene) -> None:
    """Looks at the store from a new host, and from those that have written."""
    for host in ("judge", "collector", *(f"writer-{number}" for number in range(scene.hosts))):
        scene.run(host, "verify")
        listed = scene.run(host, "ls") or ""
        lines = set(listed.splitlines())
        for name, ident in scene.acknowledged.items():
            if f"{ident}\t{name}" not in lines:
                scene.faults.append(f"{name} is not {ident} on {host}")


@contextmanager
def own_bucket(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a bucket on versitygw, and how to reach it."""
    with go_servers.versitygw(folder) as url:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=_KEYS["AWS_REGION"],
        )
        client.create_bucket(Bucket="bucket")
        client.close()
        yield "s3://bucket/store", {**_KEYS, "AWS_ENDPOINT_URL": url}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it, and prints what happened; 1 if anything was lost or failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", help="address of a bucket, without a store")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--hosts", type=int, help="hosts of the writers, one each if not given")
    options = parser.parse_args(arguments)
    paths = [str(ROOT), str(ROOT / "server"), str(ROOT / "cli")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    hosts = options.hosts or options.writers
    with tempfile.TemporaryDirectory() as folder:
        if options.store is not None:
            return _stress(options, Scene(options.store, Path(folder), environment, hosts, 0.0))
        with own_bucket(Path(folder)) as (store, reach):
            scene = Scene(store, Path(folder, "hosts"), {**environment, **reach}, hosts, 0.0)
            return _stress(options, scene)


def _stress(options: argparse.Namespace, scene: Scene) -> int:
    scene.run("judge", "prepare", stdin=b"makes the store")
    scene.end = time.monotonic() + options.seconds
    numbers = range(options.writers)
    threads = [threading.Thread(target=write, args=(scene, number)) for number in numbers]
    threads.append(threading.Thread(target=collect, args=(scene,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    judge(scene)
    print(", ".join(f"{what}: {count}" for what, count in sorted(scene.counts.items())))
    print(f"acknowledged names: {len(scene.acknowledged)}, faults: {len(scene.faults)}")
    for fault in scene.faults[:20]:
        print(fault)
    return bool(scene.faults)


if __name__ == "__main__":
    sys.exit(main())
