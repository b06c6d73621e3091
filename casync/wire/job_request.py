"""The JSON documents that ask for jobs: what a job shall do, and the objects of a given list.

The keys are those of `casync.jobs.spec.JobSpec`. Requests are untrusted, so the types here check
every field.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from casync.jobs.object_list import ListedItem
from casync.jobs.spec import JobSpec, SourceKind
from casync.limits import JOB_CONNECTIONS, MAX_JOB_CONNECTIONS, MAX_NAME_BYTES
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.wire.documents import ChunkerItem, Hash, Length, Text, chunker_item

__all__ = [
    "MAX_SOURCE",
    "Address",
    "JobObjects",
    "JobRequest",
    "ObjectItem",
    "WireName",
    "encode_list",
    "job_request",
    "job_spec",
    "object_items",
]

MAX_SOURCE: Final = 16384
"""Characters of an address. Presigned ones have some thousands."""

_MAX_FIELD: Final = 8192
_MAX_HEADERS: Final = 64
_SAME: Final = (
    "source",
    "description",
    "timeout",
    "max_conns",
    "limit_bph",
    "limit",
    "headers",
    "flatten",
    "sync",
    "max_delete",
    "allow_empty",
    "part",
    "shares",
)
"""Fields that requests and specifications have in common."""

Address = Annotated[str, msgspec.Meta(max_length=MAX_SOURCE)]
WireName = Annotated[str, msgspec.Meta(max_length=MAX_NAME_BYTES)]
_Field = Annotated[str, msgspec.Meta(max_length=_MAX_FIELD)]
_Share = Annotated[int, msgspec.Meta(ge=1, le=2**32)]


class ObjectItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object of a list, as `casync.jobs.object_list` reads it."""

    url: Address
    name: WireName | None = None
    size: Length | None = None
    blake3: Text | None = None
    sha256: Text | None = None
    sha512: Text | None = None
    sha1: Text | None = None
    md5: Text | None = None
    crc32c: Text | None = None
    crc32: Text | None = None
    headers: dict[Text, _Field] = {}


class JobRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job shall do; the attributes are those of `JobSpec`, and a list of objects.

    `list_hash` is the hash of a list that follows in parts (`JobObjects`).

    In answers the source is redacted, the values of `headers` are empty, and there is a `kind`,
    which a server finds out itself.
    """

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE)]
    destination: WireName = ""
    kind: SourceKind | None = None
    description: Text = ""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 60.0
    max_conns: Annotated[int, msgspec.Meta(ge=1, le=MAX_JOB_CONNECTIONS)] = JOB_CONNECTIONS
    limit_bph: Length = 0
    limit: Length = 0
    headers: Annotated[tuple[tuple[Text, _Field], ...], msgspec.Meta(max_length=_MAX_HEADERS)] = ()
    flatten: bool = False
    sync: bool = False
    max_delete: Length | None = None
    allow_empty: bool = False
    part: _Share = 1
    shares: _Share = 1
    chunker: ChunkerItem | None = None
    objects: list[ObjectItem] = []
    list_hash: Hash | None = None


class JobObjects(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a list of objects, for a job that was made with its `list_hash`.

    Attributes:
        first: Objects of the list that precede the part.
        objects: The next ones.
        last: Whether no more follow.
    """

    first: Length
    objects: list[ObjectItem] = []
    last: bool = False


def object_items(entries: Iterable[ListedItem]) -> list[ObjectItem]:
    """The documents of a list of objects."""
    return [
        ObjectItem(
            entry.target,
            entry.name,
            entry.size,
            headers=dict(entry.headers),
            **{each.algorithm: each.digest.hex() for each in entry.checksums},
        )
        for entry in entries
    ]


def encode_list(objects: list[ObjectItem]) -> bytes:
    """A list of objects in a form that `casync.jobs.object_list` reads."""
    return msgspec.json.encode(objects)


def job_request(spec: JobSpec) -> JobRequest:
    """The document of what a job shall do."""
    chunker = None if spec.chunker == DEFAULT_PARAMS else chunker_item(spec.chunker)
    fields = {name: getattr(spec, name) for name in _SAME}
    return JobRequest(destination=spec.dest, kind=spec.kind, chunker=chunker, **fields)


def job_spec(request: JobRequest) -> JobSpec:
    """What a job shall do. Without a kind it is an object, until `casync.jobs.request` looks.

    Raises:
        UsageError, UnsupportedError: It is not possible.
    """
    kind = request.kind or SourceKind.OBJECT
    fields = {name: getattr(request, name) for name in _SAME}
    sizes = request.chunker
    chunker = DEFAULT_PARAMS
    if sizes is not None:
        chunker = ChunkerParams(sizes.min, sizes.avg, sizes.max, sizes.algorithm)
    return JobSpec(dest=request.destination, kind=kind, chunker=chunker, **fields)
