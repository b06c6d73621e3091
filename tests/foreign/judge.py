"""Compares what casync reads of archives with what the language that made them reads."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.support.reading_archives import Shown, members_read, members_unpacked, opened

__all__ = ["MADE", "expected_members", "judge"]

MADE = Path(__file__).parent / "made"
"""The archives as they were made once."""


def expected_members(folder: Path) -> dict[str, dict[bytes, str]]:
    """By archive and member: the SHA-256 of a file, `-> TARGET` of a link, or `folder`."""
    found: dict[str, dict[bytes, str]] = {}
    for path in sorted(folder.glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            archive, member, what = line.split("\t")
            found.setdefault(archive, {})[member.encode()] = what
    return found


def judge(archive: Path, expected: dict[bytes, str]) -> None:
    """Reads an archive in both ways.

    Raises:
        AssertionError: A member is not what the other language reads.
    """
    data = archive.read_bytes()
    read = {path: _word(shown) for path, shown in members_read(opened(data, archive.name)).items()}
    assert read == expected, archive
    unpacked = {path: _word(what) for path, what in members_unpacked(data, archive.name).items()}
    assert expected.items() <= unpacked.items(), archive
    assert {unpacked[path] for path in unpacked.keys() - expected.keys()} <= {"folder"}, archive


def _word(shown: Shown) -> str:
    if shown is None:
        return "folder"
    return f"-> {shown}" if isinstance(shown, str) else hashlib.sha256(shown).hexdigest()
