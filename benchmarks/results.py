"""Reads stored results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sheet import Sheet

FOLDER = Path(__file__).parent / "figures"


def stored(folder: Path = FOLDER) -> dict[str, Sheet]:
    """All sheets of a folder, by the name of their suite."""
    sheets = (Sheet.from_json(path.read_text()) for path in sorted(folder.glob("*.json")))
    return {sheet.suite: sheet for sheet in sheets}
