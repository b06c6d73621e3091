"""ARCHITECTURE.md against the code: its drawing, and the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.package_graph import drawing, package_graph, reduced

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
FILES = sorted(set(re.findall(r"`((?:[\w.-]+/)*[\w-]+\.py)`", TEXT)))
FOLDERS = sorted(set(re.findall(r"`((?:[\w.-]+/)+)`", TEXT)))
HOMES = [ROOT, ROOT / "casync", ROOT / "server/casync_server", ROOT / "cli/casync_cli"]
HOMES += [ROOT / "casync/ops/prepare", ROOT / "benchmarks", ROOT / "casync/store/lmdb"]
"""Where paths of the document begin: its `fs/extents.py` is `casync/fs/extents.py`."""


def test_the_drawing_shows_the_imports() -> None:
    """`python -m tests.support.package_graph` prints it."""
    (shown,) = re.findall(r"```mermaid\n(.*?)\n```", TEXT, re.DOTALL)
    assert shown.splitlines() == list(drawing())


def test_arrows_that_others_imply_are_left_out() -> None:
    graph = {"a": frozenset({"b", "c"}), "b": frozenset({"c"}), "c": frozenset[str]()}
    assert reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_the_paths_that_it_names_exist(name: str) -> None:
    assert any((home / name).exists() for home in HOMES)


def test_it_shows_every_package() -> None:
    tree = TEXT.split("## The rooms", 1)[1].split("```", 2)[1]
    for package in package_graph():
        assert re.search(rf"\b{package.rpartition('/')[2]}\b", tree), package
