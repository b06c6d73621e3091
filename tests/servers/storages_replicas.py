"""Two replicas over servers of S3, nginx in front, 32 pulls, and the end of one host."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import boto3
import pytest

from tests.contract.store_contract import noise
from tests.support import ceph, go_servers
from tests.support.certificates import tool
from tests.support.cluster import Cluster, is_ready, kill_host
from tests.support.debian import UnavailableError
from tests.support.program import ROOT, Program
from tests.support.serving import Server, until
from tests.support.web_servers import free_port, running

IMAGE = noise(6_000_000, 15)
PULLS = 32
SERVERS: dict[str, tuple[Callable[[Path], AbstractContextManager[str]], str, str, str]] = {
    "versitygw": (go_servers.versitygw, go_servers.KEY, go_servers.SECRET, go_servers.REGION),
    "ceph": (ceph.running, ceph.KEY, ceph.SECRET, ceph.REGION),
}


@pytest.fixture(params=SERVERS)
def cluster(request: pytest.FixtureRequest, program: Program) -> Iterator[Cluster]:
    """A bucket on a server of S3 with a name in it."""
    start, key, secret, region = SERVERS[request.param]
    try:
        with tempfile.TemporaryDirectory(prefix="casync-") as home, start(Path(home)) as url:
            keys = {
                "aws_access_key_id": key,
                "aws_secret_access_key": secret,
                "region_name": region,
            }
            client = boto3.client("s3", endpoint_url=url, **keys)
            client.create_bucket(Bucket="bucket")
            client.close()
            reach = {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_REGION": region,
            }
            cluster = Cluster(program, "s3://bucket/casync", reach)
            cluster.prepare("disk", IMAGE)
            yield cluster
    except UnavailableError as error:
        pytest.skip(str(error))


@contextmanager
def nginx_before(servers: list[Server], port: int, folder: Path) -> Iterator[str]:
    """nginx by its recipe, without TLS; gives its URL."""
    recipe = (ROOT / "docs/recipes/nginx-replicas.conf").read_text()
    recipe = re.sub(
        r"\n *ssl_[^\n]*", "", recipe.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    )
    for number, server in enumerate(servers, 1):
        recipe = recipe.replace(f"replica{number}:8080", f"127.0.0.1:{server.port}")
    config = folder / "nginx.conf"
    temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    paths = " ".join(f"{each}_temp_path {folder}/{each};" for each in temporary)
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{recipe}}}\n"
    )
    program = str(tool("nginx", "nginx-light"))
    with running([program, "-e", str(folder / "nginx.log"), "-c", str(config)], port):
        yield f"http://127.0.0.1:{port}"


def test_every_pull_through_nginx_ends_right_when_a_host_dies(
    cluster: Cluster, tmp_path: Path
) -> None:
    program, port = cluster.program, free_port()
    program.environment["CASYNC_SERVE_HOSTS"] = f"127.0.0.1:{port}"
    with cluster.replica("one") as one, cluster.replica("two") as two:
        for server in (one, two):
            until(partial(is_ready, server), "the first sync")
        with nginx_before([one, two], port, tmp_path) as url:

            def pull(number: int) -> bool:
                store, out = f"store{number}", f"out{number}"
                program.good("--store", store, "pull", "disk", "-o", out, "--server", url)
                return (program.home / out).read_bytes() == IMAGE

            with ThreadPoolExecutor(PULLS) as pool:
                pulls = [pool.submit(pull, number) for number in range(PULLS)]
                one.wait_for("/v1/objects/fetch")
                kill_host(one)
                assert all(each.result() for each in pulls)
    found = program.good("verify", "--store", cluster.address, "--json").document
    assert found["faults"] == []
