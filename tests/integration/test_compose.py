"""The compose file against its schema, and its command: these tests have no container engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import jsonschema
import pytest
import yaml

from tests.support.debian import UnavailableError, compose_schema
from tests.support.program import ROOT, Program
from tests.support.serving import Server


def test_the_compose_file_matches_the_schema() -> None:
    try:
        schema = jsonschema.Draft201909Validator(json.loads(compose_schema().read_text()))
    except UnavailableError as error:
        pytest.skip(str(error))
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    schema.validate(document)
    document["services"]["casync"]["comand"] = "a key that is none"
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
