"""Law: every parser turns any bytes, or any text, into a value or an error of ours.

Every decoder of foreign data is in one of the two tables: data from the network, from disk, and
from users. Frames, nodes, manifests, payloads, entries, uploads, segments and indexes of members
have their own files beside this one, with stricter laws. `make fuzz` runs it for long.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import pytest
from casync_cli.config_file import read_config_file
from casync_cli.parsing.sizes import parse_rate, parse_size
from casync_cli.parsing.times import parse_duration
from casync_server.http.byte_range import matches_etag, parse_range, range_applies
from casync_server.http.request_head import Head, check_head
from casync_server.limits.connection_count import address_group
from casync_server.process.address import parse_listen
from hypothesis import given
from hypothesis import strategies as st

from casync.bucket.head import BucketHead, decode_head, encode_head
from casync.bucket.keys import SessionPart
from casync.bucket.lease import LeaseRecord, decode_lease, encode_lease
from casync.bucket.map import ChunkPlace, SegmentRow, encode_map_head
from casync.bucket.map import decode_part as decode_part_of_a_map
from casync.bucket.map import encode_part as encode_part_of_a_map
from casync.bucket.marker import PrefixMarker, decode_marker, encode_marker
from casync.bucket.run import RunRow, SegmentSize, decode_run, encode_run
from casync.bucket.segment_head import SegmentHead, decode_segment_head, encode_segment_head
from casync.errors import CasyncError
from casync.fs.exclude import Exclusion
from casync.fs.identity import NO_FILE, FileIdentity
from casync.fs.row_file import encode_block
from casync.fs.scan_cache import CachedEntry, CachedScan
from casync.fs.seen_versions import SeenVersion, SeenVersions
from casync.fs.target.part import part_name
from casync.ids import Kind, ManifestId, chunk_id, parse_manifest_id
from casync.jobs.address import identity, redacted
from casync.jobs.address import parse_address as parse_source
from casync.jobs.backoff import retry_after
from casync.jobs.checksum import Checksum, header_checksums, parse_checksum
from casync.jobs.fault import ObjectFault, ObjectFaultKind, decode_fault, encode_fault
from casync.jobs.half_fetched import (
    FetchedPart,
    decode_part,
    encode_part,
    half_fetched,
    pack_chunks,
)
from casync.jobs.item import Item, decode_items, encode_items
from casync.jobs.job import Counts, JobRow, decode_job, encode_job
from casync.jobs.origin import Origin, decode_origin, encode_origin
from casync.jobs.request import specify
from casync.jobs.spec import JobSpec, SourceKind, decode_secrets, decode_spec
from casync.jobs.template import address_template, parse_template
from casync.jobs.validators import Validators
from casync.names.name import NameRecord, parse_name
from casync.names.name_claim import Claim, Signed, decode_signed, encode_claim, encode_signed
from casync.names.patterns import literal_prefix, matches
from casync.names.signing import SigningKey, check_signed, format_key, parse_key
from casync.names.token import TokenRow, parse_token
from casync.objects.delta import Delta, pack_group, unpack_group
from casync.objects.node import Record, encode_records
from casync.objects.tree import Pipe
from casync.remote.http.address import origin_of, parse_address
from casync.remote.server.refusal import refusal
from casync.remote.site.open_map import OpenMap
from casync.store.base import ManifestRow, ManifestState, RememberedFile
from casync.store.lmdb import rows
from casync.store.lmdb.gc_totals import GcTotals, decode_totals, encode_totals
from casync.store.lmdb.jobs import rows as job_rows
from casync.store.lmdb.push_rows import PushRow, decode_push, encode_push
from casync.store.lmdb.tokens import decode_token
from casync.store.lmdb.trash_rows import (
    RemovedManifest,
    RemovedVersion,
    decode_removed_manifest,
    decode_removed_version,
    encode_removed,
)
from casync.wire import documents, edits, jobs
from casync.wire.documents import decode_document
from casync.wire.requests import decode_groups, decode_ids, decode_sizes, encode_ids, encode_sizes
from tests.property.test_garbage_is_refused import lies
from tests.support.tree_entries import META

IDENT: Final = chunk_id(b"x")
RECORD: Final = NameRecord(parse_name("vm/1"), 3, IDENT, 1_790_000_000, b"")
SIGNED: Final = SigningKey.new().sign(Claim(1, "vm/1", 7, IDENT, 5, 9, bytes(32)))
DELTA: Final = pack_group(Kind.CHUNK, [chunk_id(b"new"), IDENT], [b"new", b"x"], [b"old" * 50])
FILE: Final = RememberedFile(b"/a", FileIdentity(1, 2, 3, 4, 5), IDENT, True)
DOCUMENTS: Final = [
    kind
    for module in (documents, edits, jobs)
    for kind in vars(module).values()
    if isinstance(kind, type)
    and issubclass(kind, msgspec.Struct)
    and kind.__module__.startswith("casync.wire.")
]
JOB: Final = JobSpec("http://a:b@c/{0..9}", "d/", SourceKind.TEMPLATE, headers=(("E", "f"),))
VALIDATORS: Final = Validators('"a"', 5, "v", (Checksum("md5", bytes(16)),))
ITEM_FRAME: Final = job_rows.encode_items_of([Item("a", "b", True, 5, VALIDATORS)])
SCAN: Final = msgspec.msgpack.encode([CachedEntry(b"a", FILE.identity, Pipe(b"a", META, b""))])
CONFIG: Final = b'store = "~/x"\nlimit = "5M"\nconnections = 4\n[server."http://a"]\nca = "b"\n'
NESTED: Final = (b"[" * 90_000, b'{"x":' * 90_000, b"\x91" * 90_000, b"\x81\xa1x" * 90_000)
"""Deep nesting, which breaks recursive parsers: JSON, TOML and MessagePack."""


def seen(data: bytes) -> object:
    """The file with the last seen version of a name."""
    with tempfile.TemporaryDirectory() as folder:
        versions = SeenVersions(Path(folder))
        versions.note(b"key", SeenVersion("vm/1", 1, IDENT.hex()))
        (path,) = Path(folder).glob("*.json")
        path.write_bytes(data)
        return versions.last(b"key", "vm/1")


def cached_scan(data: bytes) -> object:
    """The scan cache of a folder, with valid checksums."""
    scan = CachedScan(io.BytesIO(encode_block(data)), ManifestId(bytes(32)))
    return scan.find(b"name", NO_FILE), scan.last_entry(b"name")


def config(data: bytes) -> object:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        return read_config_file(Path(file.name), required=True)


def frame_of_delta(data: bytes) -> object:
    delta = Delta(Kind.CHUNK, DELTA.ids, DELTA.length, data)
    return unpack_group(delta, [b"old" * 50], [3, 1]), unpack_group(delta, [], [2, 2])


def nodes_of_delta(data: bytes) -> object:
    return unpack_group(Delta(Kind.NODE, DELTA.ids, len(data), data), [b"old" * 50])


def an_answer(data: bytes) -> object:
    return [
        refusal("http://a", status, documents.PROBLEM_TYPE, data, writing=writing)
        for status in (302, 401, 404, 409, 500, 507)
        for writing in (True, False)
    ]


SEGMENTS: Final = [SegmentRow(SessionPart(bytes(16), 1), 5000)]
MAP_PART: Final = encode_part_of_a_map(
    encode_records(1, [Record(IDENT, 9)]), [ChunkPlace(0, 64, 5)]
)
MAP: Final = encode_map_head(b"manifest", SEGMENTS, [(1, bytes(32), len(MAP_PART))], {}) + MAP_PART


def opened_map(data: bytes) -> object:
    return OpenMap(lambda start, end: data[start:end]).places([IDENT])


BYTES: Final[dict[str, tuple[Callable[[bytes], object], bytes]]] = {
    "ids": (decode_ids, encode_ids(Kind.CHUNK, [IDENT] * 3)),
    "groups": (decode_groups, encode_ids(Kind.CHUNK, [IDENT] * 3)),
    "sizes": (partial(decode_sizes, Kind.CHUNK, 2), encode_sizes([None, (9, 5)])),
    "delta of chunks": (frame_of_delta, DELTA.payload),
    "delta of nodes": (nodes_of_delta, DELTA.payload),
    "answer": (an_answer, b'{"title":"a","status":1,"code":"incomplete","detail":"b"}'),
    "signed claim": (decode_signed, SIGNED),
    "claim": (lambda data: decode_signed(encode_signed(Signed(data, bytes(32), bytes(64)))),
              encode_claim(Claim(1, "a", 7, IDENT, 5, 9, b""))),
    "trusted claim": (lambda data: check_signed(data, [SIGNED[-32:]]), SIGNED),
    "private key": (SigningKey.read, SigningKey.new().pem()),
    "index row": (rows.decode_index, rows.encode_index(rows.IndexRow(1, 2, 3, 4, 1, 6))),
    "segment number": (rows.decode_number, rows.number_key(5)),
    "meta row": (rows.decode_meta_number, rows.encode_number(5)),
    "segment use": (rows.decode_segment_use, rows.encode_segment_use(rows.SegmentUse(2, 1))),
    "manifest row": (
        partial(rows.decode_manifest_row, IDENT),
        rows.encode_manifest_row(ManifestRow(ManifestId(IDENT), ManifestState.FULL, 5, 6)),
    ),
    "name row": (rows.decode_name, rows.encode_name(RECORD)),
    "file row": (rows.decode_file, rows.encode_file(FILE)),
    "push row": (decode_push, encode_push(PushRow(3, 1_790_000_000))),
    "removed manifest": (decode_removed_manifest, encode_removed(RemovedManifest(1, 2, 3, 4))),
    "removed version": (decode_removed_version, encode_removed(RemovedVersion(RECORD, 3, 4))),
    "totals of collections": (decode_totals, encode_totals(GcTotals(1, 2, 3, 4.5, 6))),
    "token row": (
        decode_token,
        msgspec.msgpack.encode(TokenRow("abcdefgh", bytes(32), 1, ["a/"], 1, 0, 0, "note")),
    ),
    "specification of a job": (decode_spec, JOB.encode()),
    "secrets of a job": (decode_secrets, msgspec.msgpack.encode(JOB.secrets)),
    "job": (decode_job, encode_job(JobRow(
        "dnl-abc012xyz", JOB.without_secrets(), JOB.digest, 5, b"sealed", cursor=1,
        counts=Counts(1), total=9,
    ))),
    "row of items": (job_rows.decode_block, b"\1\1\0\0\0" + ITEM_FRAME),
    "frame of items": (partial(job_rows.decode_items_of, count=1), ITEM_FRAME),
    "time of a job": (job_rows.decode_time, job_rows.encode_time(1_790_000_000)),
    "items of a job": (decode_items, encode_items([Item("a", "b", True, 5, VALIDATORS)])),
    "fault of a job": (
        decode_fault,
        encode_fault(ObjectFault(1, "a", "http://b", ObjectFaultKind.DNS, "c", 2, 3, 4)),
    ),
    "part of an object": (
        lambda data: half_fetched(lambda: [decode_part(data)]),
        encode_part(FetchedPart(VALIDATORS, 500, pack_chunks([(IDENT, 400)]))),
    ),
    "origin": (decode_origin, encode_origin(Origin("http://a", "b", IDENT, 5, VALIDATORS))),
    "marker": (decode_marker, encode_marker(PrefixMarker(2, "site", "0" * 32, 5))),
    "lease": (decode_lease, encode_lease(LeaseRecord("0" * 32, "host, process 1", 1, 2, 30))),
    "head of a bucket": (decode_head, encode_head(BucketHead.new(bytes(16)))),
    "run of a bucket": (decode_run, encode_run(
        bytes(16),
        [SegmentSize(SessionPart(bytes(16), 1), 5000)],
        {Kind.NODE: [RunRow(IDENT, 0, 64, 5, 9, 1)]},
        [("names", b"a", b"b"), ("names", b"c", None)],
    )),
    "segment of a bucket": (
        decode_segment_head,
        encode_segment_head(SegmentHead(SessionPart(bytes(16), 1), bytes(16), 64, of_nodes=False)),
    ),
    "map": (opened_map, MAP),
    "part of a map": (partial(decode_part_of_a_map, level=1, segments=SEGMENTS), MAP_PART),
    "seen version": (seen, b'{"name":"vm/1","version":1,"manifest":"00"}'),
    "cached scan of a folder": (cached_scan, SCAN),
    "configuration": (config, CONFIG),
    **{
        f"document {kind.__name__}": (partial(decode_document, kind=kind), b'{"name":"a"}')
        for kind in DOCUMENTS
    },
}  # fmt: skip

REFUSED: Final = {
    "trusted claim",
    "delta of nodes",
    *(what for what in BYTES if what.startswith("document ")),
}
"""Parsers whose sample has another key or kind, or is one document among many."""

TEXTS: Final[dict[str, tuple[Callable[[str], object], list[str]]]] = {
    "hash": (parse_manifest_id, [IDENT.hex()]),
    "public key": (parse_key, [format_key(bytes(32))]),
    "token": (parse_token, ["cas1_abcdefgh_" + "a" * 43]),
    "server": (parse_address, ["https://[::1]:8080/prefix", "http://host", "http://ü.de:1"]),
    "origin": (origin_of, ["http://host:80/a"]),
    "source": (
        lambda text: (redacted(text), identity(parse_source(text))),
        ["https://a:b@c.de/{0..9}?sig=d#e", "s3://b/?", "./a", "c.de:80/x"],
    ),
    "checksum": (lambda text: parse_checksum("md5", text), ["1B2M2Y8AsgTpgAmy7PhCfg==", "d" * 32]),
    "checksums of an answer": (
        lambda text: header_checksums({"x-goog-hash": text, "digest": text, "content-md5": text}),
        ["crc32c=AAAAAA==,md5=1B2M2Y8AsgTpgAmy7PhCfg==", "sha-256=:AAAA:"],
    ),
    "request of a job": (
        lambda text: specify(JobSpec(text, "", SourceKind.OBJECT)).digest,
        ["https://a:b@c.de/{0..9}?sig=d#e", "s3://b/*", "./a/", "c.de:80/x", "%", "{"],
    ),
    "template": (
        lambda text: parse_template(text)[0], ["a{0..9..2}b{01..9}", "@10", "%06d", "{"]
    ),
    "template of addresses": (
        lambda text: address_template(parse_source(text))[0],
        ["http://a/b{0..9}", "s3://a/@10", "./%d", "{1..2"],
    ),
    "place to listen": (parse_listen, ["127.0.0.1:80", "[::1]:0", "unix:/a", "localhost:1"]),
    "size": (parse_size, ["1.5G", "64KiB"]),
    "rate": (parse_rate, ["10M/s"]),
    "duration": (parse_duration, ["1h30m", "0", "1.5ms"]),
    "pattern": (lambda text: (literal_prefix(text), matches("vm/1", text)), ["vm/*", "[a-z]?"]),
    "range": (lambda text: parse_range(text, 100), ["bytes=1-2", "bytes=-5", "bytes=9-"]),
    "If-Range": (lambda text: range_applies(text, '"a"'), ['"a"']),
    "If-None-Match": (lambda text: matches_etag(text, '"a"'), ['W/"b", "a"', "*"]),
    "Retry-After": (lambda text: retry_after(text, 1e9), ["120", "Fri, 31 Dec 1999 23:59:59 GMT"]),
    "address of a client": (address_group, ["1.2.3.4", "fe80::1%eth0"]),
    "name of a part file": (
        lambda text: part_name(os.fsdecode(text.encode(errors="replace"))), ["vm.img", "é" * 200]
    ),
    "exclusion glob": (
        lambda text: Exclusion([text])(b"a/b", False), ["!**/a*/[b-c]", "a\\", "[[]", "[b-a]"]
    ),
    "exclusion regex": (
        lambda text: Exclusion(regexes=[text])(b"a/b", False), ["(a|b){2}$", "a{99999999999}", "[["]
    ),
}  # fmt: skip


LIES: Final = {what: lies(valid) for what, (_, valid) in BYTES.items()}


@pytest.mark.parametrize("what", BYTES)
@given(st.data())
def test_bytes(what: str, data: st.DataObject) -> None:
    read, _ = BYTES[what]
    with suppress(CasyncError):
        read(data.draw(LIES[what]))


@pytest.mark.parametrize("what", BYTES)
@pytest.mark.parametrize("nested", NESTED, ids=["[", "{", "list", "map"])
def test_endless_nesting_is_an_error_of_ours(what: str, nested: bytes) -> None:
    read, valid = BYTES[what]
    for data in (nested, valid[:-1] + b"," + nested, b'x = "' + nested[:9] + b'"\ny = ' + nested):
        with suppress(CasyncError):
            read(data)


@pytest.mark.parametrize("what", [what for what in BYTES if what not in REFUSED])
def test_valid_samples_are_read(what: str) -> None:
    """Otherwise the table would test nothing."""
    read, valid = BYTES[what]
    read(valid)


@pytest.mark.parametrize("line", ["connections = " + "9" * 5000, 'store = "~no-such-user/x"'])
def test_configurations_that_python_stumbles_over(line: str) -> None:
    with pytest.raises(CasyncError):
        config(line.encode())


texts = st.text(st.characters(exclude_categories=())) | st.text("0123456789.-:/@[]%*?{}()x ")
TALES: Final = {
    what: st.lists(st.sampled_from(valid) | texts, max_size=3).map("".join) | texts
    for what, (_, valid) in TEXTS.items()
}


@pytest.mark.parametrize("what", TEXTS)
@given(st.data())
def test_texts(what: str, data: st.DataObject) -> None:
    read, _ = TEXTS[what]
    with suppress(CasyncError):
        read(data.draw(TALES[what]))


heads = st.builds(
    Head,
    st.sampled_from([b"GET", b"POST"]) | st.binary(max_size=5),
    st.binary(max_size=50) | st.text("/%-aF0#?", max_size=20).map(lambda text: text.encode()),
    st.sampled_from(["1.0", "1.1", "2", ""]),
    st.lists(
        st.tuples(
            st.sampled_from([b"content-length", b"transfer-encoding", b"host"]),
            st.binary(max_size=20) | st.sampled_from([b"5", b" 007 ", b"chunked", b"9" * 30]),
        ),
        max_size=4,
    ),
)


@given(heads)
def test_heads_of_requests(head: Head) -> None:
    refused = check_head(head, 1000)
    assert refused is None or 400 <= refused.status < 600
