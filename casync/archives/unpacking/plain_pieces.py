"""Decompresses a stream: gzip, zstd and lz4, with bounded memory, from any number of frames."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import zstandard

from casync.archives.layers import ZSTD_WINDOW, LayerName
from casync.archives.plain_bytes import PlainBytes
from casync.errors import MalformedError
from casync.limits import KIB, MIB

__all__ = ["plain_pieces"]

_CHECK: Final = re.compile("incorrect (data|length) check")
"""What zlib says of the CRC-32 and the length at the end of a gzip member."""

_PIECE: Final = MIB
_STEP: Final = 256 * KIB
_ZSTD_STEP: Final = KIB
"""Bytes that zstd gets at once. It has no bound on what it returns for them: 128 KiB for each four
bytes, so 32 MiB."""


class _Frame(Protocol):
    """Decompresses one gzip member, or one frame."""

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Plain bytes, and what is left of the given ones."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether the frame has ended; what is left belongs to the next one."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether there are plain bytes to come from what it was given."""
        ...


def plain_pieces(layer: LayerName, stored: Iterator[bytes], length: int | None) -> Iterator[bytes]:
    """The plain bytes of a compressed archive, in pieces.

    Args:
        layer: How it is compressed.
        stored: Its bytes.
        length: How many they are, if that is known.

    Raises:
        MalformedError: It is damaged, ends early, or has far more plain bytes than an archive has.
        CasyncError: What reading it raises.
    """
    if not layer:
        yield from stored
        return
    bound = PlainBytes(length or 0)
    for size, piece in _decoded(layer, stored):
        bound.add(size if length is None else 0)
        bound.take(len(piece))
        if piece:
            yield piece


def _decoded(layer: LayerName, stored: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Plain pieces, each with the stored bytes that were read for it and not counted before."""
    new, step = _FRAMES[layer]
    frame: _Frame | None = None
    for block in stored:
        for start in range(0, len(block), step):
            data = block[start : start + step]
            size = len(data)
            while data or (frame is not None and frame.has_more):
                if frame is None or frame.is_done:
                    if frame is not None and layer == "gzip":
                        data = data.lstrip(b"\0")  # padding, as gzip itself reads it
                        if not data:
                            break
                    frame = new()
                try:
                    plain, data = frame.decode(data)
                except (zlib.error, zstandard.ZstdError, RuntimeError) as error:
                    raise _damaged(error) from error
                yield size, plain
                size = 0
    if frame is None or not frame.is_done:
        raise MalformedError(f"the archive ends inside its {layer} data")


def _damaged(error: Exception) -> MalformedError:
    if _CHECK.search(str(error)):
        return MalformedError(
            "the checksum of the gzip data is wrong: the archive is damaged",
            next_step="Fetch or make it again; `gzip -t FILE` checks it.",
        )
    return MalformedError(f"the archive cannot be decompressed: {error}")


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.has_more = False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        plain = self._inflate.decompress(data, _PIECE)
        # A full piece may leave plain bytes behind in the decompressor.
        self.has_more = len(plain) == _PIECE and not self.is_done
        return plain, self._inflate.unused_data if self.is_done else self._inflate.unconsumed_tail

    @property
    def is_done(self) -> bool:
        return self._inflate.eof


class _Zstd:
    has_more = False

    def __init__(self) -> None:
        limit = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame = limit.decompressobj()

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        return self._frame.decompress(data), self._frame.unused_data

    @property
    def is_done(self) -> bool:
        return self._frame.eof


class _Lz4:
    def __init__(self) -> None:
        import lz4.frame

        self._frame: Any = lz4.frame.LZ4FrameDecompressor()

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        plain = self._frame.decompress(data, _PIECE)
        return plain, (self._frame.unused_data or b"") if self.is_done else b""

    @property
    def is_done(self) -> bool:
        return bool(self._frame.eof)

    @property
    def has_more(self) -> bool:
        return not self.is_done and not self._frame.needs_input


_FRAMES: Final[dict[LayerName, tuple[Callable[[], _Frame], int]]] = {
    "gzip": (_Gzip, _STEP),
    "zstd": (_Zstd, _ZSTD_STEP),
    "lz4": (_Lz4, _STEP),
}
"""What decompresses, and how many bytes it gets at once."""
