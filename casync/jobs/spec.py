"""The specification of a job: everything that `download` is given."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from casync.errors import UsageError
from casync.ids import Buffer
from casync.jobs.address import identity, parse_address, redacted
from casync.jobs.encoding import decode, encode
from casync.limits import JOB_CONNECTIONS, MAX_JOB_CONNECTIONS, MAX_LENGTH
from casync.names.name import parse_name
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams

__all__ = ["JobSecrets", "JobSpec", "SourceKind", "decode_secrets", "decode_spec"]

_CONTEXT: Final = "casync 2026-11-30 job spec v1"
_DAY: Final = 86400.0
_MAX_SHARES: Final = 2**32


class SourceKind(StrEnum):
    """What the source of a job stands for."""

    OBJECT = "object"  # one object
    TEMPLATE = "template"  # the addresses that a template makes
    LIST = "list"  # the objects of a given list, relative to the source
    LISTING = "listing"  # everything that the source lists and that begins with a prefix


class JobSecrets(msgspec.Struct, frozen=True):
    """The parts of a specification that are neither shown nor stored in clear.

    Attributes:
        source: The source in full.
        headers: Header fields with their values.
    """

    source: str
    headers: tuple[tuple[str, str], ...]


class JobSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job does.

    Attributes:
        source: The source as the user wrote it; redacted once the secrets are taken out.
        dest: What names begin with: empty, a folder that ends with a slash, or the whole name of a
            single object.
        kind: What the source stands for.
        description: A text for people.
        timeout: Seconds without progress after which a request is given up.
        max_conns: Requests that run at the same time.
        limit_bph: Bytes in an hour; 0 for no limit.
        limit: Bytes in a second; 0 for no limit.
        list_digest: BLAKE3 of the given list of objects; empty if none was given.
        headers: Header fields for the source. Secret.
        flatten: Whether names are the last components only.
        sync: Whether names whose objects are gone at the source are removed.
        max_delete: The most names that may be removed; None for no bound.
        allow_empty: Whether an empty listing may remove everything.
        part: Which share of the items is this job's, from 1 to `shares`.
        shares: Into how many the items are shared.
        chunker: Chunk sizes of what is fetched.
        served: Whether a server was asked for it. Runners of servers take no other jobs: what a
            local process may read is not what a client of a server may.

    Raises:
        UsageError: A value is out of bounds.
    """

    source: str
    dest: str
    kind: SourceKind
    description: str = ""
    timeout: float = 60.0
    max_conns: int = JOB_CONNECTIONS
    limit_bph: int = 0
    limit: int = 0
    list_digest: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    flatten: bool = False
    sync: bool = False
    max_delete: int | None = None
    allow_empty: bool = False
    part: int = 1
    shares: int = 1
    chunker: ChunkerParams = DEFAULT_PARAMS
    served: bool = False

    def __post_init__(self) -> None:
        """Checks the bounds."""
        if self.dest:
            parse_name(self.dest.removesuffix("/"))
        if not 0 < self.timeout <= _DAY:
            raise UsageError("the timeout of a job is more than 0 s and at most a day")
        if not 1 <= self.max_conns <= MAX_JOB_CONNECTIONS:
            raise UsageError(f"a job has 1 to {MAX_JOB_CONNECTIONS} connections")
        if not (0 <= self.limit <= MAX_LENGTH and 0 <= self.limit_bph <= MAX_LENGTH):
            raise UsageError(f"the limits of a job are 0 to {MAX_LENGTH} bytes")
        if not 1 <= self.part <= self.shares <= _MAX_SHARES:
            raise UsageError(f"{self.part}/{self.shares} is not a part of a job")
        if self.max_delete is not None and self.max_delete < 0:
            raise UsageError("the most names to remove is not negative")

    @property
    def is_list(self) -> bool:
        """Whether a list of objects was given."""
        return self.kind is SourceKind.LIST

    @property
    def digest(self) -> bytes:
        """What tells jobs apart: BLAKE3 of what is fetched, to where, and how it is cut.

        Description, limits, headers, the signature of a presigned source and the bounds of removals
        do not count: running `download` again with others continues the same job with them.
        """
        sizes = self.chunker
        parts = (
            identity(parse_address(self.source)),
            self.kind.value,
            self.dest,
            self.list_digest,
            (self.flatten, self.sync, self.part, self.shares),
            (sizes.algorithm, sizes.min_size, sizes.avg_size, sizes.max_size),
        )
        return blake3(msgspec.msgpack.encode(parts), derive_key_context=_CONTEXT).digest()

    @property
    def secrets(self) -> JobSecrets | None:
        """What must be sealed before the specification is stored; None if nothing must."""
        if not self.headers and redacted(self.source) == self.source:
            return None
        return JobSecrets(self.source, self.headers)

    def without_secrets(self) -> JobSpec:
        """The specification as it may be stored and shown: a redacted source, headers by name."""
        headers = tuple((name, "") for name, _ in self.headers)
        return replace(self, source=redacted(self.source), headers=headers)

    def with_secrets(self, secrets: JobSecrets) -> JobSpec:
        """The specification in full again."""
        return replace(self, source=secrets.source, headers=secrets.headers)

    def part_of(self, index: int) -> int:
        """The part, from 1 to `shares`, that an item belongs to.

        Args:
            index: Its index in a template or list; for listings, which two hosts may see
                differently, a number made from its key.
        """
        return index % self.shares + 1

    def encode(self) -> bytes:
        """The bytes of the specification."""
        return encode(self)


def decode_spec(data: Buffer) -> JobSpec:
    """Reads a specification; MalformedError if it is not one."""
    return decode(data, JobSpec)


def decode_secrets(data: Buffer) -> JobSecrets:
    """Reads the sealed part of a specification; MalformedError if it is not one."""
    return decode(data, JobSecrets)
