"""FastCDC written from docs/FORMAT.md section 3 alone, with the table read out of that document.

Slow and plain. Tests compare the installed library and the document with it.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

FORMAT = Path(__file__).parents[2] / "docs" / "FORMAT.md"


@cache
def gear() -> list[int]:
    """The 256 values of the document's table, in the order of the bytes that they belong to."""
    section = FORMAT.read_text().split("### 3.3 The gear table", 1)[1].split("###", 1)[0]
    rows = re.findall(r"^([0-9a-f]{2}) +((?:[0-9a-f]{8} ?){8})$", section, re.MULTILINE)
    assert [int(first, 16) for first, _ in rows] == list(range(0, 256, 8))
    return [int(value, 16) for _, values in rows for value in values.split()]


def masks(average: int) -> tuple[int, int]:
    """The strict and the loose mask."""
    bits = round(math.log2(average))
    return 2 ** (bits + 1) - 1, 2 ** (bits - 1) - 1


def center(minimum: int, average: int) -> int:
    """Where the loose mask takes over, in bytes from the start of the chunk."""
    return max(average - minimum - (minimum + 1) // 2, 0)


def cut(data: bytes, minimum: int, average: int, maximum: int) -> list[int]:
    """The lengths of the chunks of `data`."""
    table = gear()
    strict, loose = masks(average)
    turn = center(minimum, average)
    lengths = []
    start = 0
    while start < len(data):
        end = min(len(data), start + maximum)
        position = min(start + minimum, end)
        pattern = 0
        while position < end:
            pattern = (pattern >> 1) + table[data[position]]
            mask = strict if position - start < turn else loose
            position += 1
            if pattern & mask == 0:
                break
        lengths.append(position - start)
        start = position
    return lengths


def patterns_of_a_run(byte: int) -> list[int]:
    """The patterns that a run of one byte goes through, up to the one that then stays."""
    value = gear()[byte]
    patterns = [value]
    while (following := (patterns[-1] >> 1) + value) != patterns[-1]:
        patterns.append(following)
    return patterns
