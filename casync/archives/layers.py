"""Compression around a whole archive: gzip, zstd and lz4, as readers of the plain bytes.

Gzip has points from which it can be read, one for each 4 MiB, so that reading a member costs what
it and a few megabytes before it do. They are kept with the index of members, in the layout of
indexed_gzip (https://github.com/pauldmccarthy/indexed_gzip). zstd and lz4 are read from their
beginning.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, cast

import zstandard

from casync.archives.byte_files import FileReader, ReaderFile, SeekableFile
from casync.archives.format import ByteReader
from casync.archives.gzip_points import POINT_SPACING, GzipStart
from casync.archives.plain_bytes import PlainBytes
from casync.errors import CasyncError, MalformedError
from casync.limits import MIB

if TYPE_CHECKING:
    from indexed_gzip import IndexedGzipFile

__all__ = [
    "ZSTD_WINDOW",
    "LayerName",
    "PlainReader",
    "begin",
    "layer_of",
    "open_layer",
    "open_onwards",
]

LayerName = Literal["", "gzip", "zstd", "lz4"]
"""A layer; empty for none."""

_MAGIC: Final[dict[bytes, LayerName]] = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_SKIPPED: Final = b"\x2a\x4d\x18"
"""The magic of a frame to be skipped, after its first byte."""

_PAGE: Final = MIB // 4
"""Plain bytes that a read gives at least: most members with their headers, inflated once."""

_AHEAD: Final = 2 * POINT_SPACING
"""Plain bytes of a large member that are inflated at once, from the point before them."""

_STEP: Final = MIB
ZSTD_WINDOW: Final = 128 * MIB
"""Memory for zstd, as `zstd --long` needs it at most without a further option."""


def layer_of(head: bytes) -> LayerName:
    """The layer of an archive that begins with these bytes.

    zstd and lz4 may begin with frames that readers skip; pzstd writes one.
    """
    at = 0
    while at + 8 <= len(head) and head[at] & 0xF0 == 0x50 and head[at + 1 : at + 4] == _SKIPPED:
        at += 8 + int.from_bytes(head[at + 4 : at + 8], "little")
    found = (name for magic, name in _MAGIC.items() if head.startswith(magic, at))
    return next((name for name in found if name != "gzip" or not at), "")


class PlainReader(FileReader):
    """The plain bytes of a compressed archive.

    Args:
        file: Decompresses.
        length: The plain bytes.
        ahead: As of `FileReader`.
    """

    def __init__(self, file: SeekableFile, length: int, ahead: int = _STEP) -> None:
        super().__init__(file, length, page=_PAGE, ahead=ahead)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a range; fewer only at the end.

        Raises:
            MalformedError: The compressed bytes are damaged.
        """
        with _our_errors():
            return super().read(offset, length)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a range in order, in blocks.

        Raises:
            MalformedError: The compressed bytes are damaged.
        """
        with _our_errors():
            yield from super().blocks(start, end)


def open_layer(
    layer: LayerName,
    stored: ByteReader,
    *,
    length: int = -1,
    start_before: Callable[[int], GzipStart] | None = None,
) -> ByteReader:
    """The plain bytes of an archive.

    Args:
        layer: How it is compressed.
        stored: The archive as it is stored.
        length: Its plain bytes, if they are known; otherwise all of it is decompressed first.
        start_before: Where gzip is read from for a plain byte (`GzipPoints.before`). Without it,
            what lies before a byte is decompressed, too.

    Raises:
        MalformedError: It is damaged, or has far more plain bytes than an archive has.
    """
    if not layer:
        return stored
    with _our_errors():
        if start_before is not None and length >= 0:
            return PlainReader(_GzipFile(stored, length, start_before), length, _AHEAD)
        file = _Forwards(stored, _STREAMS[layer])
        return PlainReader(file, length if length >= 0 else _count(file, stored.length))


def open_onwards(layer: LayerName, stored: ByteReader, length: int) -> ByteReader:
    """The plain bytes of an archive for a reader that only goes forwards, all of it once.

    Each read of `open_layer` begins at the point before it.

    Args:
        layer: How it is compressed.
        stored: The archive as it is stored.
        length: Its plain bytes.

    Raises:
        MalformedError: It is damaged.
    """
    return open_layer(layer, stored, length=length)


def begin(layer: LayerName, stored: ByteReader, size: int) -> bytes:
    """The first plain bytes of a compressed archive.

    Raises:
        MalformedError: It is damaged.
    """
    with _our_errors():
        if layer == "gzip":
            return _gzip_begin(stored, size)
        return bytes(_STREAMS[layer](stored).read(size))


def _gzip_begin(stored: ByteReader, size: int) -> bytes:
    """The first plain bytes of gzip. Its checksum is not looked at, so damage has its own error."""
    found, data, at = b"", b"", 0
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    while len(found) < size:
        if inflate.eof:  # an empty part may come first
            data, inflate = inflate.unused_data, zlib.decompressobj(16 + zlib.MAX_WBITS)
        if not data:
            data = stored.read(at, _PAGE)
            at += len(data)
        if not data:
            break
        found += inflate.decompress(data, size - len(found))
        data = inflate.unconsumed_tail
    return found


class _GzipFile:
    """Gzip that is inflated from the point before what is read."""

    def __init__(
        self, stored: ByteReader, length: int, start_before: Callable[[int], GzipStart]
    ) -> None:
        self._stored = stored
        self._length = length
        self._start_before = start_before
        self._start: GzipStart | None = None
        self._file: IndexedGzipFile

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Moves to a position from the beginning; returns it."""
        start = self._start_before(offset)
        if start != self._start:
            self._file, self._start = self._opened(start), start
        # Its buffer would have it inflate 16 MiB for each read.
        return int(self._file.raw.seek(offset))

    def read(self, size: int, /) -> bytes:
        """Reads the next bytes; fewer only at the end."""
        return bytes(self._file.raw.read(size))

    def _opened(self, start: GzipStart) -> IndexedGzipFile:
        from indexed_gzip import IndexedGzipFile

        stored = ReaderFile(self._stored)
        file = IndexedGzipFile(fileobj=stored, spacing=POINT_SPACING, readbuf_size=_PAGE)
        file.import_index(fileobj=io.BytesIO(start.file(self._stored.length, self._length)))
        return file


def _stream_gzip(stored: ByteReader) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=io.BufferedReader(ReaderFile(stored))))


def _open_zstd(stored: ByteReader) -> BinaryIO:
    limit = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    return limit.stream_reader(cast(BinaryIO, ReaderFile(stored)), read_across_frames=True)


def _open_lz4(stored: ByteReader) -> BinaryIO:
    import lz4.frame

    return cast(BinaryIO, lz4.frame.LZ4FrameFile(ReaderFile(stored)))


_STREAMS: Final[dict[str, Callable[[ByteReader], BinaryIO]]] = {
    "gzip": _stream_gzip,
    "zstd": _open_zstd,
    "lz4": _open_lz4,
}


class _Forwards:
    """A file that decompresses from the beginning again for each step back."""

    def __init__(self, stored: ByteReader, open_file: Callable[[ByteReader], BinaryIO]) -> None:
        self._stored = stored
        self._open = open_file
        self._file = open_file(stored)
        self._at = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to a position from the beginning."""
        if offset < self._at:
            self._file, self._at = self._open(self._stored), 0
        while self._at < offset and self.read(min(offset - self._at, _STEP)):
            pass
        return self._at

    def read(self, size: int, /) -> bytes:
        """Reads the next bytes; fewer only at the end."""
        parts: list[bytes] = []
        while size > 0 and (part := self._file.read(size)):
            parts.append(part)
            size -= len(part)
            self._at += len(part)
        return b"".join(parts)


def _count(file: SeekableFile, stored: int) -> int:
    """The plain bytes of a file that is read to its end."""
    bound, count = PlainBytes(stored), 0
    while block := file.read(_STEP):
        bound.take(len(block))
        count += len(block)
    return count


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turns errors of libraries into ours; those of the archive's own reader are passed on."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, zlib.error, zstandard.ZstdError) as error:
        cause = error.__cause__
        if isinstance(cause, CasyncError | KeyboardInterrupt | SystemExit):
            raise cause from None  # of the reader, or a signal that came while it read
        raise MalformedError(f"the archive cannot be decompressed: {error}") from error
