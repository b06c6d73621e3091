"""The content of a manifest of any source, from any offset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from casync.access.content_file import read_range
from casync.access.tree_reading import open_file

if TYPE_CHECKING:
    from casync.access.outline import Outline
    from casync.ids import Buffer, ManifestId
    from casync.store.base import ManifestSource

__all__ = ["Content", "open_content"]


class Content:
    """What a manifest names."""

    def __init__(self, outline: Outline, source: ManifestSource) -> None:
        self._outline = outline
        self._source = source

    @property
    def length(self) -> int:
        """Bytes."""
        return self._outline.content.length

    def pieces(self, start: int, end: int) -> Iterator[Buffer]:
        """The bytes from `start` up to `end`, each chunk proved.

        Raises:
            NoObjectError, IntegrityError: A chunk is missing or damaged.
        """
        return read_range(self._outline, self._source, start, min(end, self.length))


def open_content(ident: ManifestId, source: ManifestSource, path: str | None = None) -> Content:
    """Opens a file: what a manifest of `source` names, or what lies at `path` in its folder.

    Raises:
        UsageError: It is no file.
        NotFoundError: Nothing lies at the path.
        NoObjectError, IntegrityError: The manifest, or a node, is missing or damaged.
    """
    return Content(open_file(ident, os.fsencode(path) if path else None, source), source)
