"""The compose file against its schema, and its command: these tests have no container engine."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import jsonschema
import pytest
import yaml

from tests.support.cluster import shows
from tests.support.debian import UnavailableError, compose_schema
from tests.support.program import ROOT, Program
from tests.support.serving import Server, until


@pytest.mark.parametrize(
    ("file", "service"), [("compose.yaml", "casync"), ("compose.replicas.yaml", "replica1")]
)
def test_the_compose_file_matches_the_schema(file: str, service: str) -> None:
    try:
        schema = jsonschema.Draft201909Validator(json.loads(compose_schema().read_text()))
    except UnavailableError as error:
        pytest.skip(str(error))
    document = yaml.safe_load((ROOT / file).read_text())
    schema.validate(document)
    document["services"][service]["comand"] = "a key that is none"
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        schema.validate(document)


def test_the_command_of_the_compose_file_serves_from_nothing(tmp_path: Path) -> None:
    command = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["casync"]["command"]
    assert "0.0.0.0:8080" in command
    words = [word.replace(":8080", ":0") for word in command]
    program = Program(tmp_path)
    server = Server(program.start(*words, stdout=subprocess.DEVNULL))
    try:
        address = f"http://127.0.0.1:{server.port}/v1/names"
        assert httpx.get(address, headers={"Host": "chunks.example.com"}).json()["names"] == []
    finally:
        server.close()


def test_the_replicas_of_the_compose_file_serve_one_bucket_from_nothing(tmp_path: Path) -> None:
    services = yaml.safe_load((ROOT / "compose.replicas.yaml").read_text())["services"]
    reach = services["replica1"]["environment"]
    assert services["replica2"]["environment"] == reach
    gateway = services["storage"]["environment"]
    assert gateway["ROOT_ACCESS_KEY"] == reach["AWS_ACCESS_KEY_ID"]
    assert gateway["ROOT_SECRET_KEY"] == reach["AWS_SECRET_ACCESS_KEY"]
    bucket = reach["CASYNC_STORE"].split("/")[2]
    assert services["bucket"]["command"][-1] == f"/objects/{bucket}"
    program = Program(tmp_path)
    program.environment["CASYNC_STORE"] = f"file://{tmp_path}/bucket"
    with ExitStack() as stack:
        servers = []
        for name in ("replica1", "replica2"):
            words = [word.replace(":8080", ":0") for word in services[name]["command"]]
            environment = {**program.environment, "XDG_CACHE_HOME": str(tmp_path / name)}
            server = Server(program.start(*words, stdout=subprocess.DEVNULL, env=environment))
            stack.callback(server.close)
            servers.append(server)
        program.good("prepare", "--name", "vm/1", stdin=b"content")
        for server in servers:
            until(partial(shows, server, "vm%2F1"), "what was prepared")
