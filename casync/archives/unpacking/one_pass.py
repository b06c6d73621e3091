"""Reads an archive once, for all that its index holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from casync.archives.detect import ArchiveKind
from casync.archives.format import ByteReader, Refuse
from casync.archives.gzip_points import GzipPoints
from casync.archives.gzip_points_maker import GzipPointsMaker
from casync.archives.layers import LayerName
from casync.archives.member import Member
from casync.archives.tar import members_forwards
from casync.archives.unpacking.forward_file import ForwardFile
from casync.archives.unpacking.plain_pieces import plain_pieces

__all__ = ["OnePass"]

_NOTHING: Final[Callable[[int], None]] = lambda _: None  # noqa: E731


class OnePass:
    """One pass over an archive.

    Args:
        layer: How it is compressed.
        stored: Its bytes as they are stored.
        advance: Called with each number of these bytes that were read, or passed over.

    Attributes:
        length: Its plain bytes, when it was read.
        points: Where its gzip can be read from, when it was read; None for others.
    """

    def __init__(
        self, layer: LayerName, stored: ByteReader, advance: Callable[[int], None] = _NOTHING
    ) -> None:
        self.length = 0
        self.points: GzipPoints | None = None
        self._layer = layer
        self._stored = stored
        self._advance = advance

    def members(self, kind: ArchiveKind, refuse: Refuse) -> Iterator[Member]:
        """All members in the order of the archive.

        Args:
            kind: What it is.
            refuse: Called with each name that stands for no path.

        Raises:
            MalformedError: It is damaged, or has far more plain bytes than an archive has.
            CasyncError: What reading it raises.
        """
        if kind.layer:
            with ExitStack() as stack:
                file = ForwardFile(self._plain(stack))
                yield from members_forwards(file, refuse)
                self._end(file)
            return
        self.length, at = self._stored.length, 0
        for member in kind.reader.scan(self._stored, refuse):
            yield member
            self._advance(max(member.header - at, 0))
            at = max(member.header, at)
        self._advance(self.length - at)

    def measure(self) -> None:
        """Reads it for its length and its points. Raises as `members`."""
        with ExitStack() as stack:
            file = ForwardFile(self._plain(stack))
            for _ in file.rest():
                pass
            self._end(file)

    def _plain(self, stack: ExitStack) -> Iterator[bytes]:
        maker = (
            stack.enter_context(GzipPointsMaker(self._stored)) if self._layer == "gzip" else None
        )

        def stored() -> Iterator[bytes]:
            for block in self._stored.blocks(0, self._stored.length):
                if maker is not None:
                    maker.take(block)
                self._advance(len(block))
                yield block

        yield from plain_pieces(self._layer, stored(), self._stored.length)
        if maker is not None:
            self.points = maker.finish()

    def _end(self, file: ForwardFile) -> None:
        self.length = file.tell()
