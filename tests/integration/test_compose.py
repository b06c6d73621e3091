"""The compose file against the Compose schema, because these tests cannot run it."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from tests.support.debian import UnavailableError, compose_schema
from tests.support.program import ROOT


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
