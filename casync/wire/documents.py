"""The JSON documents of the wire, one type each (docs/PROTOCOL.md shows them).

Both sides use this module: the server encodes, the client decodes. Unknown fields are ignored, so
later servers can add some. All documents are untrusted, so the types here check every field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import msgspec

from casync.errors import RemoteProtocolError, UsageError
from casync.ids import ID_BYTES, ManifestId
from casync.limits import MAX_LENGTH, MAX_LEVEL, MAX_NAME_BYTES
from casync.names.name import NameRecord, parse_name
from casync.names.name_claim import MAX_SIGNED_BYTES
from casync.objects.chunker import ChunkerParams
from casync.objects.manifest import Manifest

__all__ = [
    "API_VERSION",
    "JSON_TYPE",
    "PROBLEM_TYPE",
    "ChunkerItem",
    "ContentItem",
    "Document",
    "Hash",
    "HistoryPage",
    "Info",
    "Length",
    "MAX_MISSING",
    "LimitsItem",
    "ManifestItem",
    "ManifestPage",
    "ManifestView",
    "MissingItem",
    "NameItem",
    "NamePage",
    "Positive",
    "Problem",
    "Seconds",
    "SignedBytes",
    "Text",
    "TreeItem",
    "TreeKind",
    "TreePage",
    "chunker_item",
    "decode_document",
    "encode_document",
    "manifest_view",
    "missing_items",
    "missing_keys",
    "name_item",
    "name_record",
    "parse_hash",
]

API_VERSION: Final = 1
JSON_TYPE: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"

_LAST_SECOND: Final = 253_402_300_799  # the end of the year 9999, where calendars stop
_MAX_TEXT: Final = 4096

MAX_MISSING: Final = 256
"""Missing objects that one answer lists: 24 KiB."""

Hash = Annotated[
    str, msgspec.Meta(pattern="^[0-9a-f]{64}$", min_length=2 * ID_BYTES, max_length=2 * ID_BYTES)
]
Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_LENGTH)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=_LAST_SECOND)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MAX_LENGTH)]
SignedBytes = Annotated[bytes, msgspec.Meta(max_length=MAX_SIGNED_BYTES)]
Text = Annotated[str, msgspec.Meta(max_length=_MAX_TEXT)]


class ChunkerItem(msgspec.Struct, frozen=True):
    """Chunk sizes in bytes, and the algorithm that cuts."""

    algorithm: Text
    min: Positive
    avg: Positive
    max: Positive


class LimitsItem(msgspec.Struct, frozen=True):
    """Limits of one request. A server without deltas allows no bases."""

    batch_ids: Positive
    batch_bytes: Positive
    page_items: Positive
    batch_bases: Length = 0
    group_bytes: Length = 0


class Info(msgspec.Struct, frozen=True):
    """A server's description of itself.

    Attributes:
        api: Version of the protocol.
        program: Name and version of the program, for people.
        store: Id of the store, a UUID: the same for all servers of one store.
        limits: Limits of one request.
        chunker: Default chunk sizes.
    """

    api: Positive
    program: Text
    store: Text
    limits: LimitsItem
    chunker: ChunkerItem


class ManifestItem(msgspec.Struct, frozen=True):
    """A manifest in a listing. `created` is in seconds since 1970."""

    hash: Hash
    length: Length
    created: Seconds


class ManifestPage(msgspec.Struct, frozen=True):
    """Manifests ordered by hash; `more`: further ones follow."""

    manifests: list[ManifestItem]
    more: bool


class ContentItem(msgspec.Struct, frozen=True):
    """The content of a manifest."""

    level: Annotated[int, msgspec.Meta(ge=0, le=MAX_LEVEL)]
    id: Hash
    length: Length


class ManifestView(msgspec.Struct, frozen=True):
    """One manifest, for clients that do not read its binary form."""

    hash: Hash
    kind: Literal["file", "tree"]
    length: Length
    created: Seconds
    chunker: ChunkerItem
    content: ContentItem


TreeKind: TypeAlias = Literal["file", "folder", "link", "device", "pipe"]
"""The kind of an entry of a folder."""


class TreeItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a folder.

    Attributes:
        name: Its name, percent-encoded: it need not be text, and fits into a URL as it is.
        kind: Its kind.
        mode: The lower 12 bits of its mode.
        mtime_ns: Time of the last change, in nanoseconds since 1970.
        length: Bytes of a file.
        content: Id of the content of a file or folder; for a file of one chunk, its BLAKE3.
        target: Target of a symbolic link, percent-encoded except for slashes.
    """

    name: Text
    kind: TreeKind
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o7777)]
    mtime_ns: int
    length: Length | None = None
    content: Hash | None = None
    target: str | None = None


class TreePage(msgspec.Struct, frozen=True):
    """The entries of a folder, ordered by the bytes of their names; `more`: further ones follow."""

    entries: list[TreeItem]
    more: bool


class NameItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a name: the manifest that it points to, and its signed claim if it has one."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_BYTES)]
    version: Positive
    manifest: Hash
    created: Seconds
    signed: SignedBytes = b""


class NamePage(msgspec.Struct, frozen=True):
    """The newest version of each name, ordered by the bytes of the names."""

    names: list[NameItem]
    more: bool


class HistoryPage(msgspec.Struct, frozen=True):
    """Versions of one name, the oldest first."""

    versions: list[NameItem]
    more: bool


class MissingItem(msgspec.Struct, frozen=True):
    """A missing object; `kind` is 1 for a chunk, 2 for a node, 3 for a manifest."""

    kind: Annotated[int, msgspec.Meta(ge=1, le=3)]
    id: Hash


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457).

    Attributes:
        title: The reason phrase of the status.
        status: The HTTP status.
        code: The kind of error; stable, one of errors.py.
        detail: One line: what happened, to which object or path, and why.
        next_step: What to do about it, for people.
        missing: With the code `incomplete`: the first objects that must be sent before.
    """

    title: Text
    status: int
    code: Text
    detail: Text
    next_step: Text = ""
    missing: Annotated[list[MissingItem], msgspec.Meta(max_length=MAX_MISSING)] = []


Document = TypeVar("Document", bound=msgspec.Struct)


def encode_document(document: msgspec.Struct) -> bytes:
    """The JSON text of a document, in UTF-8."""
    return msgspec.json.encode(document)


def decode_document(data: bytes, kind: type[Document]) -> Document:
    """Reads a document.

    Raises:
        RemoteProtocolError: `data` is not a valid document of that kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(
            f"an answer that is not a valid {kind.__name__}: {error}"
        ) from error


def parse_hash(text: str) -> ManifestId:
    """The id in a checked `Hash` field."""
    return ManifestId(bytes.fromhex(text))


def name_item(record: NameRecord) -> NameItem:
    """The document of a version of a name."""
    manifest = record.manifest.hex()
    return NameItem(record.name, record.version, manifest, record.created, record.signed)


def missing_items(missing: Sequence[tuple[int, bytes]]) -> list[MissingItem]:
    """The documents of the first MAX_MISSING objects, given by kind and id."""
    return [MissingItem(kind, ident.hex()) for kind, ident in missing[:MAX_MISSING]]


def missing_keys(items: Sequence[MissingItem]) -> list[tuple[int, bytes]]:
    """Kinds and ids of received objects."""
    return [(item.kind, bytes.fromhex(item.id)) for item in items]


def name_record(item: NameItem) -> NameRecord:
    """The version of a name in a document.

    Raises:
        RemoteProtocolError: The name breaks the rules of names.
    """
    try:
        name = parse_name(item.name)
    except UsageError as error:
        raise RemoteProtocolError(f"an answer with a bad name: {error.message}") from error
    manifest = parse_hash(item.manifest)
    return NameRecord(name, item.version, manifest, item.created, item.signed)


def chunker_item(params: ChunkerParams) -> ChunkerItem:
    """The document of chunk sizes."""
    return ChunkerItem(params.algorithm, params.min_size, params.avg_size, params.max_size)


def manifest_view(ident: ManifestId, manifest: Manifest, created: int) -> ManifestView:
    """The JSON view of a manifest."""
    content = manifest.content
    return ManifestView(
        hash=ident.hex(),
        kind=manifest.kind,
        length=manifest.length,
        created=created,
        chunker=chunker_item(manifest.params),
        content=ContentItem(content.level, content.id.hex(), content.length),
    )
