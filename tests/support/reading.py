"""Files for the tests of sources, and what a source makes of them."""

from __future__ import annotations

import os
import random
from pathlib import Path

from casync.fs.source.file import BLOCK_BYTES, FileSource, Hole, Source


def noise(length: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(length)


def plain(source: Source, size: int = BLOCK_BYTES) -> bytes:
    """All bytes, holes as zeros."""
    return b"".join(
        bytes(block.length) if isinstance(block, Hole) else block for block in source.blocks(size)
    )


def read(path: Path, size: int = BLOCK_BYTES) -> bytes:
    with FileSource(path) as source:
        return plain(source, size)


def write_sparse(path: Path, length: int, parts: dict[int, bytes]) -> None:
    """Makes a file that is a hole but for `parts`."""
    with path.open("wb") as file:
        file.truncate(length)
        for offset, part in sorted(parts.items()):
            file.seek(offset)
            file.write(part)


def sparse_content(length: int, parts: dict[int, bytes]) -> bytes:
    """What such a file reads as."""
    content = bytearray(length)
    for offset, part in sorted(parts.items()):
        content[offset : offset + len(part)] = part
    return bytes(content)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 50_000)


def shrink_and_regrow(path: Path) -> None:
    os.truncate(path, 50_000)
    os.truncate(path, 100_000)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"new")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(noise(100_000, 1))
    other.replace(path)
