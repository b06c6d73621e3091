"""A server as a place to write to: names, and the trash.

Requests that set something may be made again when an answer was lost; those that move things into
the trash or out of it are made once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from casync.changes import MAX_REFS, NameChange, Refs, RemovalItem, TrashPage
from casync.documents import (
    JSON_TYPE,
    NameItem,
    decode_document,
    encode_document,
    name_record,
    parse_hash,
)
from casync.errors import RemoteProtocolError, UsageError
from casync.ids import ManifestId
from casync.name import Name, NameRecord, Ref
from casync.remote.client import RemoteClient
from casync.remote.transport import Request
from casync.store.base import Removed

__all__ = ["RemoteRemoval", "WritingClient"]

_MOST_REMOVED: Final = 1_000_000
"""Entries of a trash that are read."""

_TRASH: Final = "/v1/trash"
_RESTORE: Final = "/v1/trash/restore"


class RemoteRemoval(NamedTuple):
    """What moved into a server's trash, or out of it; `more` says that some is left out."""

    versions: list[NameRecord]
    manifests: list[ManifestId]
    more: bool


class WritingClient(RemoteClient):
    """A `RemoteClient` that changes what names point to, and what is there."""

    def set_name(self, name: Name, manifest: ManifestId, expected: int | None = None) -> NameRecord:
        """Points a name to a manifest; the version that points there now.

        Args:
            name: The name.
            manifest: What it shall point to. All below it must be there.
            expected: The version that must be the newest, 0 for none; None for whatever it is.

        Raises:
            LostRaceError: Another version is the newest.
            IncompleteError: Not all of the manifest is there.
            NoSpaceError, DeniedError, RemoteError, StoppedError: The server refused or failed.
        """
        field = (b"If-Match", b'"%d"' % expected) if expected else (b"If-None-Match", b"*")
        request = Request(
            f"/v1/names/{quote(name)}",
            [JSON_TYPE],
            encode_document(NameChange(manifest.hex())),
            JSON_TYPE,
            method="PUT",
            fields=[] if expected is None else [field],
            writing=True,
        )
        item = self._told(decode_document, self._read(request).body, NameItem)
        record = self._told(name_record, item)
        if record.name != name or record.manifest != manifest:
            raise RemoteProtocolError(f"{self.origin} answers for another name or manifest")
        return record

    def removal(self, refs: Sequence[Ref]) -> RemoteRemoval:
        """What `remove` would remove. Raises as that does."""
        return self._move(_TRASH, refs, dry_run=True)

    def remove(self, refs: Sequence[Ref]) -> RemoteRemoval:
        """Moves versions of names, and manifests, into the trash, all or nothing.

        Raises:
            NoNameError: One of them is not there.
            UsageError: A prefix of a hash, or too many.
            DeniedError, NoSpaceError, RemoteError, StoppedError: The server refused or failed.
        """
        return self._move(_TRASH, refs)

    def restore(self, refs: Sequence[Ref]) -> RemoteRemoval:
        """Takes versions of names, and manifests, out of the trash, all or nothing.

        Raises:
            CasyncError: As `remove`.
        """
        return self._move(_RESTORE, refs)

    def removed(self) -> Iterator[Removed]:
        """What lies in the trash, the latest last."""
        skip = 0
        while True:
            page = self._document(f"{_TRASH}?{urlencode({'skip': skip})}", TrashPage)
            for entry in page.entries:
                record = None if entry.version is None else self._told(name_record, entry.version)
                yield Removed(parse_hash(entry.manifest), record, entry.removed)
            skip += len(page.entries)
            if skip > _MOST_REMOVED:
                raise RemoteProtocolError(f"{self.origin} lists a trash without end")
            if not self._goes_on(page.more, page.entries):
                return

    def _move(self, target: str, refs: Sequence[Ref], *, dry_run: bool = False) -> RemoteRemoval:
        if len(refs) > MAX_REFS:
            raise UsageError(f"a server takes {MAX_REFS} refs at once, not {len(refs)}")
        for ref in refs:
            if ref.prefix is not None:
                raise UsageError(
                    f"{ref.prefix} is not a full hash",
                    next_step="Servers take full hashes and names.",
                )
        wanted = Refs([str(msgspec.structs.replace(ref, path=None)) for ref in refs], dry_run)
        request = Request(target, [JSON_TYPE], encode_document(wanted), JSON_TYPE, writing=True)
        item = self._told(decode_document, self._read_once(request).body, RemovalItem)
        return RemoteRemoval(
            [self._told(name_record, version) for version in item.versions],
            [parse_hash(text) for text in item.manifests],
            item.more,
        )
