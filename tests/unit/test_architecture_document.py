"""ARCHITECTURE.md against the code: its drawing, and the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.package_graph import drawing, reduced

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


def packages_shown() -> set[str]:
    """The packages in the tree of the document: indentation is nesting, `a/ b/` are two."""
    tree = TEXT.split("## The rooms", 1)[1].split("```", 2)[1]
    shown, parents = set[str](), dict[int, str]()
    for line in tree.splitlines():
        names = re.match(r"( *)((?:[\w/]+/ ?)+)", line)
        if names is None:
            continue
        depth = len(names[1])
        parent = "".join(name for at, name in sorted(parents.items()) if at < depth)
        for name in names[2].split():
            shown.add(f"{parent}{name}")
            parents = {at: kept for at, kept in parents.items() if at < depth} | {depth: name}
    return shown


def test_it_shows_every_package() -> None:
    packages = {
        f"{path.parent.relative_to(ROOT)}/"
        for home in ("casync", "server/casync_server", "cli/casync_cli")
        for path in (ROOT / home).rglob("__init__.py")
    }
    assert packages_shown() == packages


def test_no_entry_of_the_changelog_is_there_twice() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    entries = [line for line in lines if line.startswith("- ")]
    assert len(entries) == len(set(entries))
