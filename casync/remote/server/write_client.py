"""Writes to a server: names, the trash, and pushes.

Requests that send objects or set names are retried when an answer is lost. Requests that move
entries into the trash or out of it are made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from casync.errors import RemoteProtocolError, UnreachableError, UsageError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.objects.codec import Packed
from casync.remote.http.retry import Retry
from casync.remote.server.client import RemoteClient
from casync.remote.server.message import Request
from casync.remote.server.refusal import BodyTooLargeError
from casync.remote.server.upload_size import UploadSize
from casync.store.base import ObjectStat, Removal, Removed
from casync.store.push import OpenPush
from casync.wire.documents import (
    JSON_TYPE,
    ManifestItem,
    NameItem,
    decode_document,
    encode_document,
    name_record,
    parse_hash,
)
from casync.wire.edits import (
    MAX_REFS,
    NameChange,
    NextItem,
    PushItem,
    PushList,
    Refs,
    RemovalItem,
    TakenItem,
    TrashPage,
)
from casync.wire.uploads import OBJECTS_TYPE, encode_upload, joined

__all__ = ["WritingClient"]

_MOST_REMOVED: Final = 1_000_000
"""Entries of the longest trash that is read."""

_PROVING: Final = 202
_PROVING_SECONDS: Final = 1.0
"""Time from one such request to the next, even if the server answers at once."""

_MOST_PROVING: Final = 10_000
"""Requests about one manifest; a server may take some seconds for each."""

_TRASH: Final = "/v1/trash"
_RESTORE: Final = "/v1/trash/restore"


class _Told:
    """Tells the plain bytes of objects while they are sent, and none of them twice.

    Args:
        tell: Called with further plain bytes.
        total: Plain bytes of all objects.
    """

    def __init__(self, tell: Callable[[int], object], total: int) -> None:
        self._tell = tell
        self._total = self._rest = total
        self._told = 0
        self._share = 0.0
        self._bytes = 0

    def begin(self, share: float) -> None:
        """Begins a body, of which each byte stands for `share` plain bytes."""
        self._share, self._bytes = share, 0

    def sent(self, count: int) -> None:
        """Records that `count` bytes of the body were sent."""
        self._bytes += count
        self._up_to(self._total - self._rest + int(self._bytes * self._share))

    def rest(self, plain: int) -> None:
        """Records that objects of `plain` bytes are still to be sent."""
        self._rest = plain
        self._up_to(self._total - plain)

    def _up_to(self, plain: int) -> None:
        plain = min(plain, self._total)
        if plain > self._told:
            self._tell(plain - self._told)
            self._told = plain


class WritingClient(RemoteClient):
    """A `RemoteClient` that is also a `PushTarget` and, like a store, `Editable`."""

    def set_name(self, update: NameUpdate) -> NameRecord:
        """As `Editable.set_name`."""
        return self._set_name("", update)

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        """As `Editable.upcoming`."""
        item = self._document(f"/v1/next/{quote(name)}", NextItem)
        newest = None if item.newest is None else self._told(name_record, item.newest)
        if newest is not None and (newest.name != name or newest.version >= item.version):
            raise RemoteProtocolError(f"{self.origin} answers for another name")
        return item.version, newest

    def begin_push(self) -> str:
        """As `PushTarget.begin_push`."""
        request = Request("/v1/pushes", [JSON_TYPE], b"", JSON_TYPE, writing=True)
        return self._told(decode_document, self._read(request).body, PushItem).push

    def open_pushes(self) -> list[OpenPush]:
        """The open pushes of the server, the one that was silent for longest first."""
        listed = self._document("/v1/pushes", PushList)
        return [OpenPush(bytes.fromhex(item.push), item.heard) for item in listed.pushes]

    def end_push(self, push: str) -> None:
        """As `PushTarget.end_push`."""
        target = f"/v1/pushes/{push}"
        request = Request(target, [JSON_TYPE], method="DELETE", writing=True)
        self._told(decode_document, self._read(request).body, PushItem)

    def promise(self, push: str, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `PushTarget.promise`."""
        return self._stat(f"/v1/objects/stat?push={push}", kind, ids, writing=True)

    @cached_property
    def _upload_size(self) -> UploadSize:
        return UploadSize()

    def send(
        self, push: str, objects: Sequence[Packed], sent: Callable[[int], object]
    ) -> list[ObjectId]:
        """As `PushTarget.send`. Bodies get smaller where they do not arrive."""
        retry = self._patience.retry()
        rest = list(objects)
        refused: list[ObjectId] = []
        told = _Told(sent, sum(packed.length for packed in rest))
        while rest:
            batch = self._upload_size.first(rest)
            size = sum(len(packed.payload) for packed in batch)
            left: list[Packed] = []
            try:
                refused += self._send_once(push, batch, retry, told)
                retry.progress()
                self._upload_size.arrived()
            except BodyTooLargeError:
                if len(batch) == 1:
                    raise
                self._upload_size.refused(size)
                left = batch
            except UnreachableError as error:
                if not error.retry_after:
                    self._upload_size.broke(size)
                self._patience.wait(retry, error)
                # The server keeps the objects that arrived before a request broke off.
                stats = self.promise(push, batch[0].kind, [packed.id for packed in batch])
                left = [packed for packed, stat in zip(batch, stats, strict=True) if stat is None]
                if len(left) < len(batch):
                    retry.progress()
            rest = left + rest[len(batch) :]
            told.rest(sum(packed.length for packed in rest))
        return refused

    def _send_once(
        self, push: str, objects: Sequence[Packed], retry: Retry, told: _Told
    ) -> list[ObjectId]:
        body = list(joined(encode_upload(objects), self._transport.piece_bytes))
        plain = sum(packed.length for packed in objects)
        told.begin(plain / sum(map(len, body)))
        target = f"/v1/objects?push={push}"
        request = Request(target, [JSON_TYPE], body, OBJECTS_TYPE, writing=True, sent=told.sent)
        taken = self._told(decode_document, self._read_once(request, retry).body, TakenItem)
        refused = [parse_hash(item.id) for item in taken.refused]
        if taken.taken + taken.known + len(refused) != len(objects):
            raise RemoteProtocolError(f"{self.origin} answers for other objects than were sent")
        return list(refused)

    def publish(self, push: str, what: ManifestId | NameUpdate) -> NameRecord | None:
        """As `PushTarget.publish`."""
        if isinstance(what, NameUpdate):
            return self._set_name(push, what)
        target = f"/v1/manifests/{what.hex()}?push={push}"
        request = Request(target, [JSON_TYPE], method="PUT", writing=True)
        item = self._told(decode_document, self._proved(request), ManifestItem)
        if item.hash != what.hex():
            raise RemoteProtocolError(f"{self.origin} answers for another manifest")
        return None

    def _set_name(self, push: str, update: NameUpdate) -> NameRecord:
        name, manifest, expected, signed = update
        field = (b"If-Match", b'"%d"' % expected) if expected else (b"If-None-Match", b"*")
        request = Request(
            f"/v1/names/{quote(name)}" + (f"?push={push}" if push else ""),
            [JSON_TYPE],
            encode_document(NameChange(manifest.hex(), signed)),
            JSON_TYPE,
            method="PUT",
            fields=[] if expected is None else [field],
            writing=True,
        )
        item = self._told(decode_document, self._proved(request), NameItem)
        record = self._told(name_record, item)
        if record.name != name or record.manifest != manifest:
            raise RemoteProtocolError(f"{self.origin} answers for another name or manifest")
        return record

    def _proved(self, request: Request) -> bytes:
        """The answer to a request, which is repeated while the server checks a manifest."""
        for _ in range(_MOST_PROVING):
            asked = self._patience.clock()
            reply = self._read(request)
            if reply.status != _PROVING:
                return reply.body
            self._patience.rest(asked + _PROVING_SECONDS - self._patience.clock())
        raise RemoteProtocolError(f"{self.origin} never finished {request.target}")

    def removal(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.removal`."""
        return self._move(_TRASH, refs, dry_run=True)

    def remove(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.remove`.

        Raises:
            UsageError: A ref is a prefix of a hash, or there are too many refs.
        """
        return self._move(_TRASH, refs)

    def restore(self, refs: Sequence[Ref]) -> Removal:
        """As `Editable.restore`. Raises as `remove`."""
        return self._move(_RESTORE, refs)

    def removed(self) -> Iterator[Removed]:
        """As `Editable.removed`."""
        skip = 0
        while True:
            page = self._document(f"{_TRASH}?{urlencode({'skip': skip})}", TrashPage)
            for entry in page.entries:
                record = None if entry.version is None else self._told(name_record, entry.version)
                yield Removed(parse_hash(entry.manifest), record, entry.removed)
            skip += len(page.entries)
            if skip > _MOST_REMOVED:
                raise RemoteProtocolError(
                    f"{self.origin} lists a trash of more than {_MOST_REMOVED} entries"
                )
            if not self._listings.goes_on(page.more, page.entries):
                return

    def _move(self, target: str, refs: Sequence[Ref], *, dry_run: bool = False) -> Removal:
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
        reply = self._read_once(request, self._patience.retry())
        item = self._told(decode_document, reply.body, RemovalItem)
        return Removal(
            [self._told(name_record, version) for version in item.versions],
            [parse_hash(text) for text in item.manifests],
            item.more,
        )
