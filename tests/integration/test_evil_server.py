"""A server that lies.

The client and `Unpacker` together: whatever a server sends, the result is the requested object, or
an error of ours that names the server.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

import casync
from casync.errors import (
    CasyncError,
    DeniedError,
    IntegrityError,
    NoNameError,
    RemoteError,
    RemoteProtocolError,
)
from casync.ids import Kind
from casync.limits import MIB
from casync.names.name import parse_name, parse_ref
from casync.objects.codec import Packed, Packer
from casync.store.base import Absence, Batch
from casync.store.memory import MemoryStore
from tests.support import peer as p
from tests.support import wire
from tests.support.peer import Answer, Fault, Peer, edits, sends
from tests.support.proving_client import IDS, OBJECTS, PLAINS, WHOLE, always, connect, proved
from tests.support.pulling import noise, put
from tests.support.wire import frame


@pytest.fixture
def peer() -> Iterator[Peer]:
    store = MemoryStore()
    store.commit(Batch(objects=OBJECTS))
    with Peer(store) as peer:
        yield peer


def test_an_honest_server(peer: Peer) -> None:
    with connect(peer) as client:
        assert proved(client) == WHOLE


def replaced(payload: bytes, codec: int = 1) -> Callable[[list[bytes]], list[bytes]]:
    """The first object's frame holds something else."""
    return lambda frames: [frame(wire.OBJECT, payload, codec=codec, count=1), *frames[1:]]


def flipped(frames: list[bytes]) -> list[bytes]:
    broken = bytearray(frames[1])
    broken[len(broken) // 2] ^= 1
    return [frames[0], bytes(broken), *frames[2:]]


def with_dictionary() -> bytes:
    words = zstandard.ZstdCompressionDict(b"text " * 4000, zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=words).compress(PLAINS[0])


def lying_about_its_size() -> bytes:
    """A frame that claims 10 bytes and holds 100."""
    good = zstandard.ZstdCompressor(write_checksum=False).compress(b"0123456789" * 10)
    assert good[4] == 0x20
    assert good[5] == 100
    return good[:5] + b"\x0a" + good[6:]


HONEST = zstandard.ZstdCompressor().compress(PLAINS[0])
SKIPPABLE = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip"
LIES = {
    "wrong bytes": replaced(b"wrong", codec=0),
    "wrong bytes of the right length": replaced(b"x" * len(PLAINS[0]), codec=0),
    "flipped bit": flipped,
    "another object": lambda f: [f[1], *f[1:]],
    "swapped": lambda f: [f[1], f[0], *f[2:]],
    "reversed": lambda f: [*f[-2::-1], f[-1]],
    "other codec": replaced(PLAINS[0]),
    "codec raw": replaced(HONEST, codec=0),
    "dictionary": replaced(with_dictionary()),
    "skippable first": replaced(SKIPPABLE + HONEST),
    "skippable last": replaced(HONEST + SKIPPABLE),
    "two frames": replaced(HONEST + HONEST),
    "trailing byte": replaced(HONEST + b"\0"),
    "cut frame": replaced(HONEST[:-3]),
    "forged size": replaced(lying_about_its_size()),
    "forged huge size": replaced(b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**40) + b"\1\0\0"),
    "no size": replaced(zstandard.ZstdCompressor(write_content_size=False).compress(PLAINS[0])),
    "bomb": replaced(zstandard.ZstdCompressor().compress(bytes(512 * MIB))),
    "bomb of one chunk": replaced(zstandard.ZstdCompressor().compress(bytes(16 * MIB))),
    "wide window": replaced(b"\x28\xb5\x2f\xfd\x80\xa0" + struct.pack("<I", 9) + b"\1\0\0"),
}


@pytest.mark.parametrize("lie", LIES)
def test_false_objects_are_refused(peer: Peer, lie: str) -> None:
    peer.fault = always(edits(LIES[lie]))
    tracemalloc.start()
    try:
        with connect(peer) as client, pytest.raises((IntegrityError, RemoteProtocolError)):
            proved(client)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


BREAKS = {
    "one too few": lambda f: [*f[:-2], f[-1]],
    "none": lambda f: f[-1:],
    "one too many": lambda f: [f[0], *f],
    "one too many missing": lambda f: [*f[:-1], frame(wire.MISSING, count=1), f[-1]],
    "missing without end": lambda f: [frame(wire.MISSING, count=65535), f[-1]],
    "trailing byte": lambda f: [*f, b"\0"],
    "trailing frame": lambda f: [*f, f[0]],
    "two ends": lambda f: [*f, f[-1]],
    "no end": lambda f: f[:-1],
    "delta group": lambda f: [frame(2, b"delta", count=2), *f[2:]],
    "unknown status": lambda f: [frame(77, count=1), *f],
    "unknown codec": lambda f: [frame(wire.OBJECT, b"x", codec=9, count=1), *f[1:]],
    "absence with payload": lambda f: [frame(wire.MISSING, b"x", count=1), *f[1:]],
    "endless payload": lambda f: [struct.pack("<BBHI", 1, 0, 1, 2**32 - 1), bytes(MIB)],
    "garbage": lambda f: [random.Random(7).randbytes(5000)],
}


@pytest.mark.parametrize("name", BREAKS)
def test_malformed_frames_are_refused(peer: Peer, name: str) -> None:
    peer.fault = always(edits(BREAKS[name]))
    with connect(peer, retry_for=60) as client:
        with pytest.raises(RemoteProtocolError) as caught:
            list(client.get(Kind.CHUNK, IDS))
        assert peer.url in caught.value.message
    assert len(peer.seen) == 1  # a protocol error: not retried


BEHIND_THE_LAST = [
    "one too many",
    "one too many missing",
    "trailing byte",
    "trailing frame",
    "two ends",
    "no end",
]


@pytest.mark.parametrize("name", BEHIND_THE_LAST)
def test_bytes_after_the_last_answer_are_an_error(peer: Peer, name: str) -> None:
    peer.fault = always(edits(BREAKS[name]))
    with connect(peer) as client, pytest.raises(RemoteProtocolError):
        for _ in zip(IDS, client.get(Kind.CHUNK, IDS), strict=False):
            pass


def test_garbage_after_the_end_is_refused_in_an_endless_body(peer: Peer) -> None:
    def fault(connection: socket.socket, seen: p.Seen, honest: Answer) -> None:
        p.never_ends(connection, seen, honest._replace(body=honest.body + b"\0"))

    peer.fault = always(fault)
    with connect(peer) as client, pytest.raises(RemoteProtocolError, match="after the end"):
        proved(client)


@pytest.mark.parametrize("name", BEHIND_THE_LAST)
@pytest.mark.parametrize("kind", Kind)
def test_a_pull_refuses_bytes_after_the_last_answer(name: str, kind: Kind, tmp_path: Path) -> None:
    store = MemoryStore()
    ident = put(store, noise(1, 300_000))
    with Peer(store) as peer:
        lie = edits(BREAKS[name])
        peer.fault = lambda seen: lie if seen.body[5:6] == bytes([kind]) else None
        with pytest.raises(RemoteProtocolError):
            casync.pull(ident.hex(), tmp_path / "out", servers=[peer.url])
    assert not (tmp_path / "out").exists()


def test_a_complete_answer_in_an_endless_body_is_accepted(peer: Peer) -> None:
    peer.fault = always(p.never_ends)
    started = time.monotonic()
    with connect(peer, window=600.0, answer_seconds=600.0) as client:
        assert proved(client) == WHOLE
        peer.fault = lambda seen: None
        assert proved(client) == WHOLE
    assert time.monotonic() - started < 60  # a tenth of the wait for needed bytes
    assert len(peer.seen) == peer.connections == 2


BODY = Answer(200, p.FRAMES, frame(wire.MISSING, count=len(IDS)) + frame(wire.END))
OFF_TRACK: dict[str, tuple[Fault, type[CasyncError]]] = {
    "gzip": (
        sends(BODY._replace(body=gzip.compress(bytes(64 * MIB))), "Content-Encoding: gzip"),
        RemoteProtocolError,
    ),
    "zstd": (sends(BODY, "Content-Encoding: zstd"), RemoteProtocolError),
    "media type": (sends(BODY._replace(content_type="text/html")), RemoteProtocolError),
    "redirect": (sends(Answer(302, "", b""), "Location: /v1/objects/fetch"), RemoteProtocolError),
    "redirect away": (sends(Answer(307, "", b""), "Location: http://x/"), RemoteProtocolError),
    "switch": (
        lambda c, s, a: c.sendall(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        CasyncError,
    ),
    "no content": (lambda c, s, a: c.sendall(b"HTTP/1.1 204 No\r\n\r\n"), RemoteError),
    "partial": (sends(BODY._replace(status=206)), RemoteError),
    "not http": (lambda c, s, a: c.sendall(b"SSH-2.0-OpenSSH\r\n\r\n" * 9), RemoteProtocolError),
    "bad field": (
        lambda c, s, a: c.sendall(b"HTTP/1.1 200 OK\r\n\0:\r\n\r\n"),
        RemoteProtocolError,
    ),
    "bad chunk": (
        lambda c, s, a: c.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.casync.frames\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
        ),
        RemoteProtocolError,
    ),
    "two lengths": (sends(BODY, "Content-Length: 5"), RemoteProtocolError),
    "html error": (sends(Answer(404, "text/html", b"<h1>no")), RemoteError),
    "long error": (sends(Answer(404, p.PROBLEM, b" " * MIB)), RemoteError),
}


@pytest.mark.parametrize("name", OFF_TRACK)
def test_unexpected_http_answers_are_errors(peer: Peer, name: str) -> None:
    fault, kind = OFF_TRACK[name]
    peer.fault = always(fault)
    with connect(peer) as client:
        with pytest.raises(kind):
            proved(client)
        assert client.traffic.received < 2 * MIB
    assert len(peer.seen) == 1


def test_escape_sequences_in_error_texts_stay_harmless(peer: Peer) -> None:
    detail = "\x1b[2J\x1b]0;title\x07\u202e[red]" + "x" * 3000
    peer.fault = always(sends(p.problem(403, "denied", detail, detail)))
    with connect(peer) as client, pytest.raises(DeniedError) as caught:
        client.info()
    # The command line escapes what it shows; the error keeps the text, bounded.
    assert detail[:400] in caught.value.message
    assert len(caught.value.message) < 600
    assert len(caught.value.next_step) < 600


def listing(*digits: int, length: int = 1, more: bool = False) -> str:
    items = [{"hash": f"{digit:064}", "length": length, "created": 0} for digit in digits]
    return json.dumps({"manifests": items, "more": more})


PAGES: dict[str, str] = {
    "deep": '{"manifests":[],"more":' + "[" * 500_000,
    "no list": '{"manifests":5,"more":false}',
    "no hash": '{"manifests":[{"hash":"zz","length":1,"created":0}],"more":false}',
    "length": listing(1, length=-1),
    "order": listing(2, 1),
    "same page": listing(1, more=True),
    "empty page": listing(more=True),
    "huge": '{"manifests":[' + '{"x":1},' * MIB,
    "long number": '{"manifests":[],"more":' + "9" * MIB + "}",
}


@pytest.mark.parametrize("name", PAGES)
def test_false_listings_are_refused(peer: Peer, name: str) -> None:
    peer.fault = always(sends(Answer(200, p.JSON, PAGES[name].encode())))
    with connect(peer) as client, pytest.raises(RemoteProtocolError):
        list(client.manifests())


def test_answers_for_another_object_are_refused(peer: Peer) -> None:
    name = {"name": "other", "version": 1, "manifest": "ab" * 32, "created": 0}
    view = {
        "hash": "ab" * 32,
        "kind": "file",
        "length": 1,
        "created": 0,
        "chunker": {"algorithm": "fastcdc-v1", "min": 1, "avg": 1, "max": 1},
        "content": {"level": 0, "id": "ab" * 32, "length": 1},
    }
    page = {"names": [name], "versions": [name], "more": False}
    with connect(peer) as client:
        peer.fault = always(sends(Answer(200, p.JSON, json.dumps(page).encode())))
        with pytest.raises(RemoteProtocolError):
            list(client.names("images/"))
        with pytest.raises(RemoteProtocolError):
            client.history(parse_name("images"))
        peer.fault = always(sends(Answer(200, p.JSON, json.dumps(view).encode())))
        with pytest.raises(RemoteProtocolError):
            client.resolve(parse_ref("cd" * 32))
        peer.fault = always(sends(p.problem(404, "no-name", "no name")))
        with pytest.raises(NoNameError):
            client.resolve(parse_ref("images"))


def test_a_small_answer_needs_a_length(peer: Peer) -> None:
    peer.fault = always(p.breaks_off(0.5, closed=True))
    with connect(peer, retry_for=60) as client, pytest.raises(RemoteProtocolError):
        client.stat(Kind.CHUNK, IDS)


@pytest.mark.parametrize("row", [(0, 0), (5, 6), (2**60, 2**60), (2**64 - 1, 0)])
def test_false_sizes_are_refused(peer: Peer, row: tuple[int, int]) -> None:
    peer.fault = always(sends(Answer(200, p.SIZES, struct.pack("<QQ", *row))))
    with connect(peer) as client, pytest.raises(RemoteProtocolError):
        client.stat(Kind.CHUNK, IDS[:1])


def test_busy_is_an_answer(peer: Peer) -> None:
    peer.fault = always(edits(lambda f: [f[0], frame(wire.BUSY, count=len(IDS) - 1), f[-1]]))
    with connect(peer) as client:
        answers = list(client.get(Kind.CHUNK, IDS))
    assert answers[1:] == [Absence.BUSY] * (len(IDS) - 1)
    assert len(peer.seen) == 1


def test_a_full_request_is_followed_by_another(peer: Peer) -> None:
    large = [Packer().pack_new(Kind.CHUNK, bytes([n]) * (14 * MIB)) for n in range(9)]
    peer.source.commit(Batch(objects=large))  # type: ignore[attr-defined]

    def full(frames: list[bytes]) -> list[bytes]:
        return [*frames[:5], frame(wire.BUSY, count=len(frames) - 6), frames[-1]]

    peer.fault = lambda seen: edits(full) if len(seen.ids) > 5 else None
    ids = [item.id for item in large]
    with connect(peer, retry_for=60.0) as client:
        assert list(client.get(Kind.CHUNK, ids)) == [Packed(*item) for item in large]
    assert [len(seen.ids) for seen in peer.seen][:2] == [9, 4]
