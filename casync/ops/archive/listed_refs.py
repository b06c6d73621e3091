"""Refs of a list, kept for several walks in little memory: some 30 bytes each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

__all__ = ["ListedRefs"]

_BLOCK_REFS: Final = 512

_Row = tuple[bytes, bytes | None]
_ROWS: Final = msgspec.msgpack.Decoder(list[_Row])


class ListedRefs:
    """Texts of refs, each with the path that it shall get, or None. May be walked again.

    Args:
        texts: The texts; read once.
    """

    def __init__(self, texts: Iterable[tuple[str, str | None]]) -> None:
        rows = ((_bytes(ref), path if path is None else _bytes(path)) for ref, path in texts)
        self._blocks: list[bytes] = []
        while block := list(islice(rows, _BLOCK_REFS)):
            self._blocks.append(msgspec.msgpack.encode(block))

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        for block in self._blocks:
            for ref, path in _ROWS.decode(block):
                yield _text(ref), path if path is None else _text(path)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
