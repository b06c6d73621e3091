"""Names of another casync server as objects.

An answer has a `Replica`, of which a store fetches only the chunks that it lacks. The bytes of an
answer are for readers without a store, and are fetched whole.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from casync.errors import (
    CasyncError,
    IntegrityError,
    MalformedError,
    NotFoundError,
    StoppedError,
    UnreachableError,
    UsageError,
)
from casync.ids import ChunkId, Kind, ManifestId, NodeId, zero_chunk_id
from casync.jobs.address import parse_address as parse_source
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.limits import MAX_BATCH_IDS, MIB
from casync.names.name import Ref, parse_ref
from casync.objects.leaves import LeafCursor
from casync.objects.manifest import Manifest, decode_manifest
from casync.objects.node import Node, Record, decode_node
from casync.remote.http.address import ServerAddress, parse_address
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.remote.sources.base import (
    Listed,
    ListedFolder,
    ObjectAnswer,
    Replica,
    failed,
    folder_of,
    range_to_read,
)
from casync.remote.sources.options import SourceOptions
from casync.store.proved import ProvedReader

__all__ = ["ServerOpener", "ServerSource", "server_of"]

_PORT: Final = 8080
"""Where `casync serve` listens by default, and thus the port of `casync://` addresses."""

_BEARER: Final = "bearer "
_BLOCK_BYTES: Final = 4 * MIB
"""Bytes of chunks that are requested at once."""


def server_of(address: str) -> ServerAddress | None:
    """The server of a `casync://` address; None for an address of another scheme.

    `casync+http://` and `casync+https://` say how it is reached, and have the ports of HTTP.
    `casync://` is https, or plain http on this machine, and has the port of `casync serve`.

    Raises:
        UsageError: The address is invalid.
    """
    parsed = parse_source(address)
    if parsed.scheme not in ("casync", "casync+http", "casync+https"):
        return None
    authority = parsed.rest.partition("/")[0]
    protocol = parsed.scheme.partition("+")[2]
    if protocol:
        return parse_address(f"{protocol}://{authority}")
    found = parse_address(f"https://{authority}", port=_PORT)
    return found._replace(scheme="http") if found.is_loopback else found


class ServerOpener:
    """Opens addresses of casync servers. Those of one server share its connections."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._clients: dict[str, RemoteClient] = {}

    def open(self, address: str) -> tuple[ServerSource, str]:
        """The server, and the name or the prefix of names. See `casync.remote.sources.open`.

        Raises:
            UsageError: The address is invalid, or a token would cross the network in the clear.
        """
        server = server_of(address)
        assert server is not None
        head, _, key = parse_source(address).rest.partition("/")
        label = f"{parse_source(address).scheme}://{head}"
        with self._lock:
            client = self._clients.get(server.origin)
            if client is None:
                client = RemoteClient(server.origin, _transport(server, self._options))
                self._clients[server.origin] = client
        return ServerSource(label, client), key

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.close()


class ServerSource:
    """The names of one server. See `RemoteSource`.

    Args:
        label: Its address.
        client: Connections to it.
    """

    def __init__(self, label: str, client: RemoteClient) -> None:
        self.label = label
        self.place = f"casync+{client.origin}"
        self._client = client

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`. A key is a name, a name with its version, or a hash."""
        with self._asking():
            row = self._client.look_up(_ref(key))
        return None if row is None else _listed(key, row.id, row.length)

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        with self._asking():
            for record in self._client.names(prefix):
                yield _listed(record.name, ManifestId(record.manifest), None)

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        return folder_of(prefix, self.list_below(prefix))

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        """See `RemoteSource`."""
        listed = self.find(key)
        if listed is None or listed.size is None:
            missing = NotFoundError(f"there is no name {key} on {self._client.origin}")
            raise failed(missing, ObjectFaultKind.HTTP, 404)
        asked = range_to_read(listed, start, end, same, unless)
        if asked is None:
            return None
        manifest = ManifestId(bytes.fromhex(listed.validators.version))
        blocks = self._blocks(key, manifest, asked.start, asked.end)
        return ObjectAnswer(
            listed,
            asked.start,
            blocks,
            blocks.close,
            is_ranged=asked.is_ranged,
            replica=Replica(manifest, self._client),
        )

    def close(self) -> None:
        """See `RemoteSource`."""
        self._client.close()

    def _blocks(
        self, key: str, ident: ManifestId, start: int, end: int
    ) -> Generator[bytes, None, None]:
        with self._asking():
            reader = ProvedReader(self._client)
            manifest = decode_manifest(reader.one(Kind.MANIFEST, ident))
            if manifest.kind != "file":
                raise UsageError(
                    f"{self.label}/{key} is a folder, which is no part of another one",
                    next_step="`casync prepare` of it alone and `casync download` take folders.",
                )
            if start < end:
                yield from _content(reader, manifest, start, end)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Says of errors what went wrong at the source."""
        try:
            yield
        except (StoppedError, UsageError):
            raise
        except CasyncError as error:
            if not error.fault:
                failed(error, _fault(error), error.status)
            raise


def _transport(server: ServerAddress, options: SourceOptions) -> TransportOptions:
    given = TransportOptions() if options.casync is None else options.casync()
    tokens = dict(given.tokens)
    for name, value in options.headers:
        if name.lower() == "authorization" and value.lower().startswith(_BEARER):
            tokens[server.origin] = value[len(_BEARER) :].strip()
    return replace(
        given,
        tokens=tokens,
        ca=options.ca,
        proxy=options.proxy,
        proxy_auth=options.proxy_auth,
        egress=options.egress,
        watch=options.watch,
        connections=options.connections,
        retry_for=options.retry_for,
        answer_seconds=options.timeout,
        window=options.timeout,
    )


def _ref(key: str) -> Ref:
    """The ref that a key is.

    Raises:
        UsageError: It is none, or leads into a folder.
    """
    ref = parse_ref(key)
    if ref.path is not None:
        raise UsageError(
            f"{key} is inside a folder, which is one object",
            next_step="`casync pull NAME:PATH --server URL` takes a part of it.",
        )
    return ref


def _listed(key: str, manifest: ManifestId, length: int | None) -> Listed:
    return Listed(key, length, Validators(version=manifest.hex()))


def _fault(error: CasyncError) -> ObjectFaultKind:
    if error.status:
        return ObjectFaultKind.HTTP
    match error:
        case UnreachableError():
            return ObjectFaultKind.CONNECT
        case IntegrityError():
            return ObjectFaultKind.CHECKSUM
        case _:
            return ObjectFaultKind.HTTP


def _content(reader: ProvedReader, manifest: Manifest, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a part of a content.

    Raises:
        CasyncError: An object is missing, or damaged.
    """

    def node(ident: NodeId, level: int, length: int) -> Node:
        return decode_node(reader.one(Kind.NODE, ident), level, length)

    largest = manifest.params.max_size
    hole = Record(zero_chunk_id(largest), largest)
    batch: list[tuple[int, Record]] = []
    pending = 0

    def read() -> Iterator[bytes]:
        wanted = list(dict.fromkeys(ChunkId(each.id) for _, each in batch if each != hole))
        plain = dict(zip(wanted, reader.plain(Kind.CHUNK, wanted), strict=True))
        for offset, (ident, length) in batch:
            data = plain[ChunkId(ident)] if ident != hole.id else bytes(largest)
            if len(data) != length:
                raise MalformedError(f"chunk {ident.hex()} is listed with another length")
            yield data[max(start - offset, 0) : end - offset]

    for offset, record in LeafCursor(manifest.content, node).chunks(start, end):
        batch.append((offset, record))
        pending += record.length
        if pending >= _BLOCK_BYTES or len(batch) == MAX_BATCH_IDS:
            yield from read()
            batch, pending = [], 0
    yield from read()
