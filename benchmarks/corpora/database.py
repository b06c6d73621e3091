"""An SQLite file before and after updates, and after VACUUM."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks.corpora.corpus import MIB, Corpus

FULL_BYTES = 1024 * MIB
ROW_BYTES = 480
"""About, with its share of the index."""
CHANGED = 0.01
"""Share of the rows that is updated, deleted and inserted, each."""


def build(folder: Path, scale: float) -> None:
    """Fills a database; changes a copy of it; vacuums a copy of that."""
    rows = round(FULL_BYTES * scale / ROW_BYTES)
    maker = random.Random(20260101)
    words = [
        "".join(maker.choices("abcdefghijklmnopqrstuvwxyz", k=maker.randint(2, 11)))
        for _ in range(20_000)
    ]
    before, after, vacuumed = (folder / name for name in FILES)
    with sqlite3.connect(before) as database:
        database.execute("PRAGMA journal_mode=OFF")
        database.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, author, made, text)")
        database.executemany(
            "INSERT INTO message VALUES (?,?,?,?)", messages(maker, words, 0, rows)
        )
        database.execute("CREATE INDEX by_author ON message (author, made)")
    shutil.copyfile(before, after)
    some = round(rows * CHANGED)
    with sqlite3.connect(after) as database:
        gone = [(maker.randrange(rows),) for _ in range(some)]
        database.executemany("DELETE FROM message WHERE id = ?", gone)
        edits = [(" ".join(maker.choices(words, k=60)), maker.randrange(rows)) for _ in range(some)]
        database.executemany("UPDATE message SET text = ? WHERE id = ?", edits)
        new = messages(maker, words, rows, some)
        database.executemany("INSERT INTO message VALUES (?,?,?,?)", new)
    shutil.copyfile(after, vacuumed)
    with sqlite3.connect(vacuumed) as database:
        database.execute("VACUUM")


def messages(
    maker: random.Random, words: list[str], first: int, count: int
) -> Iterator[tuple[int, str, int, str]]:
    """Rows of text with the word frequencies of natural language."""
    for number in range(first, first + count):
        text = " ".join(words[int(maker.random() ** 3 * len(words))] for _ in range(60))
        yield number, words[maker.randrange(500)], 1_700_000_000 + number * 7, text


FILES = ("before.db", "after.db", "vacuumed.db")
DATABASE = Corpus(
    "database",
    FILES,
    (
        ("database, updated", FILES[0], FILES[1]),
        ("database, vacuumed", FILES[1], FILES[2]),
    ),
    build,
)
