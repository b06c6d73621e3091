"""Archives of Go and Java, made once by `tests/foreign/`: each member is what they read of it."""

from __future__ import annotations

import hashlib

import pytest

from tests.foreign.judge import MADE, expected_members, judge
from tests.support.program import Program

EXPECTED = expected_members(MADE)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_archive_of_go_or_java(name: str) -> None:
    """A1, A2, A6"""
    judge(MADE / name, EXPECTED[name])


@pytest.mark.parametrize("name", ["go-pax.tgz", "java.jar"])
def test_the_command_line_lists_and_reads_every_member(program: Program, name: str) -> None:
    """A2, A5"""
    program.good("prepare", MADE / name, "--name", name)
    listed = program.good("archive", "ls", name, "--json").document["entries"]
    assert {entry["path"].encode() for entry in listed} == EXPECTED[name].keys()
    for member, what in EXPECTED[name].items():
        if len(what) == 64:
            found = program.good("cat", f"{name}:{member.decode()}").out
            assert hashlib.sha256(found).hexdigest() == what
