"""A server as a source of objects, manifests and names.

Speaks docs/PROTOCOL.md over `transport`: splits batches into requests, retries when a connection
fails, and turns answers into the values of the ports. The caller proves payloads with
`codec.Unpacker`, as for every source that it did not write itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, ParamSpec, Self, TypeVar
from urllib.parse import quote, quote_from_bytes

import msgspec

from casync.errors import (
    DeniedError,
    IntegrityError,
    NoNameError,
    NotFoundError,
    RemoteError,
    RemoteProtocolError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from casync.ids import Kind, ManifestId, NodeId, ObjectId
from casync.limits import MAX_BATCH_BYTES, MAX_BATCH_IDS
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import MAX_PLAIN, Packed
from casync.objects.delta import Delta, Group, Singles, wanted_ids
from casync.objects.node import Content
from casync.remote.http.retry import Retry
from casync.remote.server.calls import MAX_SMALL_BYTES, Calls
from casync.remote.server.listings import Listings, manifest_row
from casync.remote.server.message import Reply, Request
from casync.remote.server.transport_options import TransportOptions
from casync.store.base import Absence, ManifestRow, ObjectStat, Traffic
from casync.wire.documents import (
    JSON_TYPE,
    ContentItem,
    Info,
    ManifestView,
    decode_document,
    parse_hash,
)
from casync.wire.frames import FRAMES_TYPE, Answer, FrameReader, Status
from casync.wire.requests import (
    IDS_TYPE,
    SIZES_TYPE,
    decode_sizes,
    encode_groups,
    encode_ids,
    first_groups,
    groups_after,
)

__all__ = ["RemoteClient"]

_ABSENCES: Final = {
    Status.MISSING: Absence.MISSING,
    Status.DAMAGED: Absence.DAMAGED,
    Status.BUSY: Absence.BUSY,
}

_Document = TypeVar("_Document", bound=msgspec.Struct)
_Result = TypeVar("_Result")
_Args = ParamSpec("_Args")


class RemoteClient:
    """A `ManifestSource` over HTTP. Used by several threads at once.

    Args:
        url: The server's address.
        options: Options of the transport.
        pause: Waits for the given seconds; `close` interrupts the default.
        clock: Monotonic clock in seconds, for the retry budget.
        jitter: Returns a random number from 0 to 1.

    Raises:
        UsageError: The address or an option is invalid.
    """

    def __init__(
        self,
        url: str,
        options: TransportOptions | None = None,
        *,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        calls = Calls(url, options or TransportOptions(), pause=pause, clock=clock, jitter=jitter)
        self._calls = calls
        self._transport, self._patience = calls.transport, calls.patience
        self._listings = Listings(self.origin, self._document)
        self._makes_deltas = True  # until the server refuses a request for deltas

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections. Threads that wait for the server get StoppedError."""
        self._calls.close()

    @property
    def origin(self) -> str:
        """The server's name in messages: scheme, host and port."""
        return self._transport.origin

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user about the connection to the server."""
        return self._transport.warnings

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        return self._transport.traffic

    def info(self) -> Info:
        """The server's description of itself.

        Raises:
            RemoteError, DeniedError, StoppedError: The request failed, as any request can.
        """
        return self._document("/v1/info", Info)

    @property
    def deltas_pay(self) -> bool:
        """Whether deltas save time: the server makes them, and the link is slow and busy.

        While it has room, the server does not make deltas as fast as it could send whole chunks.
        """
        slow = not self._transport.is_fast and not self._transport.has_room
        return self._makes_deltas and slow

    def expects(self, manifest: ManifestId) -> None:
        """As `Server.expects`: a server finds any object without that."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """One answer per id, in the order asked, as they arrive. See `ObjectSource`.

        Raises:
            CasyncError: As `get_groups`.
        """
        for answers in self.get_groups(kind, Singles(ids)):
            for answer in answers:
                assert not isinstance(answer, Delta)  # `FrameReader` lets none pass
                if isinstance(answer, Packed):
                    answer = answer._replace(payload=bytes(answer.payload))
                yield answer

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """One answer per id or one per group, in the order asked, in lists as they arrive.

        Retries a failed request for the ids that are not answered yet, and requests again the ids
        that are `BUSY` only because a request was full. Requests single ids from a server that
        refuses groups.

        Raises:
            UnreachableError: The server cannot be reached within the retry budget.
            RemoteProtocolError: An answer breaks the protocol.
            DeniedError, UnsupportedError, RemoteError: The server refused.
            StoppedError: `close` was called.
        """
        rest = groups
        retry = self._patience.retry()
        while rest:
            if not self._makes_deltas:
                rest = Singles(wanted_ids(rest))
            batch = first_groups(rest)
            count = len(wanted_ids(batch))
            done = 0
            try:
                for answers in self._fetch(kind, batch, retry):
                    if answers:
                        done += sum(len(a.ids) if isinstance(a, Delta) else 1 for a in answers)
                        yield [_ABSENCES[a] if isinstance(a, Status) else a for a in answers]
                        retry.progress()
            except UnreachableError as error:
                if done < count:
                    self._patience.wait(retry, error)
            except (RemoteProtocolError, DeniedError):
                raise
            except (RemoteError, UnsupportedError):
                if done or all(group.is_single for group in batch):
                    raise
                self._makes_deltas = False
            rest = groups_after(rest, done)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of each object, None for a missing one. See `ObjectSource`.

        Raises:
            RemoteError, DeniedError, UnsupportedError, StoppedError: As `get`.
        """
        return self._stat("/v1/objects/stat", kind, ids)

    def _stat(
        self, target: str, kind: Kind, ids: Sequence[ObjectId], *, writing: bool = False
    ) -> list[ObjectStat | None]:
        stats: list[ObjectStat | None] = []
        for at in range(0, len(ids), MAX_BATCH_IDS):
            batch = ids[at : at + MAX_BATCH_IDS]
            body = encode_ids(kind, batch)
            request = Request(target, [SIZES_TYPE], body, IDS_TYPE, writing=writing)
            rows = self._told(decode_sizes, kind, len(batch), self._read(request).body)
            stats.extend(None if row is None else ObjectStat(*row) for row in rows)
        return stats

    def manifests(self) -> Iterator[ManifestRow]:
        """All full manifests of the server, ordered by id. See `ManifestSource`."""
        return self._listings.manifests()

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """The server's row of one manifest. See `ManifestSource`."""
        return self.look_up(Ref(manifest=ident))

    def look_up(self, ref: Ref) -> ManifestRow | None:
        """The server's row of the manifest that a full hash or a name points to.

        Raises:
            RemoteError, DeniedError, UnsupportedError, StoppedError: As `get`.
        """
        view = self._manifest_view(ref)
        return None if view is None else manifest_row(view.hash, view.length, view.created)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """The newest version of each name, ordered by name. See `ManifestSource`."""
        return self._listings.names(prefix)

    def history(self, name: Name) -> list[NameRecord]:
        """All versions of a name, the oldest first. See `ManifestSource`."""
        return self._listings.history(name)

    def archive_index(self, manifest: ManifestId, path: bytes) -> Content | None:
        """As `IndexServer.archive_index`; None also from a server that makes none.

        Raises:
            RemoteError, DeniedError, StoppedError: The request failed, as any request can.
        """
        query = f"?path={quote_from_bytes(path, safe='')}" if path else ""
        try:
            item = self._document(f"/v1/archives/{manifest.hex()}/index{query}", ContentItem)
        except (UnreachableError, RemoteProtocolError):
            raise
        except (NotFoundError, UnsupportedError, RemoteError, IntegrityError):
            return None  # what is wrong with the archive shows when the index is made here
        return Content(item.level, NodeId(bytes.fromhex(item.id)), item.length)

    def resolve(self, ref: Ref) -> ManifestId:
        """The full manifest that a ref points to on the server. See `ManifestSource`.

        Raises:
            NoNameError: The server has no such manifest or name.
            UsageError: The ref is a prefix of a hash; servers take full hashes.
            RemoteError, DeniedError, UnsupportedError, StoppedError: As `get`.
        """
        if ref.prefix is not None:
            step = "Servers take full hashes and names."
            raise UsageError(f"{ref.prefix} is not a full hash", next_step=step)
        view = self._manifest_view(ref)
        if view is None:
            step = f"`casync ls --server {self.origin}` lists its names."
            raise NoNameError(f"{ref} is not on {self.origin}", next_step=step)
        return parse_hash(view.hash)

    def _fetch(self, kind: Kind, groups: Sequence[Group], retry: Retry) -> Iterator[list[Answer]]:
        """The answers of one request, without those that are busy because the request was full.

        The last answers are yielded once the stream has ended well, or broken off.
        """
        request = Request("/v1/objects/fetch", [FRAMES_TYPE], encode_groups(kind, groups), IDS_TYPE)
        reader = FrameReader(kind, groups)
        last: list[Answer] = []
        plain, full = 0, False
        try:
            with self._transport.stream(request, retry) as body:
                for piece in body:
                    answers = self._told(reader.feed, piece)
                    if reader.ended:
                        body.ends()
                    if full or not answers:
                        continue
                    plain += self._counted(answers)
                    if MAX_BATCH_BYTES - plain < MAX_PLAIN[kind] and Status.BUSY in answers:
                        answers = answers[: answers.index(Status.BUSY)]
                        full = True
                    if reader.answered < reader.wanted:
                        yield answers
                        body.flows(retry)
                    else:
                        last = answers
        except UnreachableError:
            self._told(reader.check)
            yield last
            raise
        self._told(reader.finish)
        yield last

    def _counted(self, answers: Sequence[Answer]) -> int:
        """Plain bytes of `answers`. Counts deltas in the traffic."""
        plain = 0
        for answer in answers:
            if not isinstance(answer, Status):
                plain += answer.length
            if isinstance(answer, Delta):
                self._transport.count(Traffic(0, 0, 0, len(answer.payload), answer.length))
        return plain

    def _manifest_view(self, ref: Ref) -> ManifestView | None:
        text = str(msgspec.structs.replace(ref, path=None))
        try:
            view = self._document(f"/v1/manifests/{quote(text, safe='/@')}", ManifestView)
        except NoNameError:
            return None
        if ref.manifest is not None and view.hash != text:
            raise RemoteProtocolError(f"{self.origin} answers for another manifest than {text}")
        return view

    def _document(self, target: str, kind: type[_Document]) -> _Document:
        request = Request(target, [JSON_TYPE])
        return self._told(decode_document, self._read(request).body, kind)

    def _read(self, request: Request) -> Reply:
        """Requests a small answer, with retries within the budget."""
        return self._calls.read(request)

    def _read_once(self, request: Request, retry: Retry) -> Reply:
        return self._transport.read(request, MAX_SMALL_BYTES, retry)

    def _told(
        self, read: Callable[_Args, _Result], *args: _Args.args, **kwargs: _Args.kwargs
    ) -> _Result:
        """Reads an answer with `read`, and names the server in its errors."""
        try:
            return read(*args, **kwargs)
        except (RemoteProtocolError, UnreachableError) as error:
            raise type(error)(f"{self.origin} sends {error.message}") from error
