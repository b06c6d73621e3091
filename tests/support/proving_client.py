"""A client whose answers are proved, and objects to ask it for: what the tests of faults share."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from casync.ids import Kind, ObjectId
from casync.objects.codec import Packed, Packer, Unpacker, Verified
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from tests.support.peer import Fault, Peer, Seen

PLAINS = [b"text " * 4000, random.Random(1).randbytes(30_000), bytes(50_000)] * 2 + [b"last"]
PLAINS = [plain + b"%d" % number for number, plain in enumerate(PLAINS)]
OBJECTS: list[Verified] = [Packer().pack_new(Kind.CHUNK, plain) for plain in PLAINS]
IDS: list[ObjectId] = [item.id for item in OBJECTS]
WHOLE = dict(zip(IDS, PLAINS, strict=True))


def always(fault: Fault) -> Callable[[Seen], Fault | None]:
    return lambda seen: fault


def connect(peer: Peer, **options: Any) -> RemoteClient:
    """A client that does not retry, unless told to, and then retries without a wait."""
    options = {"retry_for": 0.0, **options}
    return RemoteClient(
        peer.url, TransportOptions(**options), pause=lambda seconds: None, clock=lambda: 0.0
    )


def proved(client: RemoteClient, ids: list[ObjectId] = IDS) -> dict[ObjectId, bytes]:
    """The plain bytes of the objects that arrive, proved."""
    unpacker, found = Unpacker(), {}
    for ident, answer in zip(ids, client.get(Kind.CHUNK, ids), strict=True):
        if isinstance(answer, Packed):
            found[ident] = unpacker.unpack(answer)
    return found
