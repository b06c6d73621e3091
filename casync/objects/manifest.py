"""The manifest: the root object, whose id is the HASH that users see.

It says what kind of content it names, how it was cut, and the content itself. It holds no clock,
path or host name: the same bytes cut the same way have the same hash everywhere. The encoding is
MessagePack, and only the one encoding that this module writes is accepted.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from casync.errors import MalformedError, UnsupportedError, UsageError
from casync.ids import Buffer
from casync.limits import MAX_MANIFEST_BYTES
from casync.objects.chunker import ChunkerParams
from casync.objects.node import Content, check_content

__all__ = ["Manifest", "decode_manifest", "encode_manifest"]

_VERSION: Final = 1


class _Chunker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    algorithm: str
    min: int
    avg: int
    max: int


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    kind: Literal["file", "tree"]
    features: tuple[str, ...]
    length: int
    chunker: _Chunker
    content: Content


class _Probe(msgspec.Struct):
    version: int


class Manifest(msgspec.Struct, frozen=True):
    """What a HASH stands for.

    Attributes:
        kind: `file`, or `tree` for a serialised folder.
        params: How the content was cut. A seed cut the same way has the same chunks.
        content: The content that it names.
    """

    kind: Literal["file", "tree"]
    params: ChunkerParams
    content: Content

    @property
    def length(self) -> int:
        """Plain bytes of the content."""
        return self.content.length


def encode_manifest(manifest: Manifest) -> bytes:
    """The one valid encoding of `manifest`."""
    params = manifest.params
    return msgspec.msgpack.encode(
        _Document(
            version=_VERSION,
            kind=manifest.kind,
            features=(),
            length=manifest.length,
            chunker=_Chunker(params.algorithm, params.min_size, params.avg_size, params.max_size),
            content=manifest.content,
        )
    )


def decode_manifest(data: Buffer) -> Manifest:
    """Reads a manifest.

    Raises:
        UnsupportedError: A later version, an unknown chunker or an unknown feature.
        MalformedError: Anything else that `encode_manifest` does not write.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise MalformedError(f"manifest of {len(data)} bytes; at most {MAX_MANIFEST_BYTES} allowed")
    try:
        version = msgspec.msgpack.decode(data, type=_Probe).version
        if version > _VERSION:
            raise UnsupportedError(f"manifest version {version} is newer than this program")
        document = msgspec.msgpack.decode(data, type=_Document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"not a manifest: {error}") from error
    if document.version != _VERSION:
        raise MalformedError(f"manifest with unknown version {document.version}")
    if document.features:
        raise UnsupportedError(f"manifest with unknown features: {', '.join(document.features)}")
    manifest = Manifest(document.kind, _params(document.chunker), document.content)
    if document.length != document.content.length:
        raise MalformedError("manifest whose lengths disagree")
    check_content(document.content, manifest.params.max_size)
    if encode_manifest(manifest) != bytes(data):
        raise MalformedError("manifest that is not in its one encoding")
    return manifest


def _params(chunker: _Chunker) -> ChunkerParams:
    try:
        return ChunkerParams(chunker.min, chunker.avg, chunker.max, chunker.algorithm)
    except UsageError as error:
        raise MalformedError(f"manifest with impossible chunk sizes: {error}") from error
