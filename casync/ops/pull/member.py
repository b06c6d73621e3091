"""Pulls a member of an archive: fetches only the chunks that it needs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from casync.access.endpoints import Endpoints
from casync.access.locate import FoundMember
from casync.access.outline import ObjectLoader
from casync.access.progress import SILENT, Progress
from casync.access.supply import StoreSupply, Supply
from casync.errors import DigestMismatchError
from casync.fs.target.base import Sink, open_sink
from casync.fs.target.place import TargetPlace, check_space
from casync.ids import ChunkId
from casync.limits import MAX_BATCH_IDS
from casync.objects.chunk_runs import runs
from casync.ops.pull.file import Pulled
from casync.ops.pull.forecast import Forecast, PlanTotals
from casync.ops.pull.seeds import Seeds
from casync.ops.pull.server_supply import ServerSupply
from casync.ops.pull.wanted import PullOptions

__all__ = ["MemberToPull", "forecast_member", "pull_member"]


class MemberToPull(NamedTuple):
    """A member to pull.

    Attributes:
        found: The member.
        target: A file or block device, or a stream.
        since: Start of the command, on `time.monotonic`.
        loader: Fetches the nodes of the archive.
    """

    found: FoundMember
    target: TargetPlace | BinaryIO
    since: float
    loader: ObjectLoader


def pull_member(
    wanted: MemberToPull,
    endpoints: Endpoints,
    options: PullOptions = PullOptions(),
    progress: Progress = SILENT,
) -> Pulled:
    """Pulls a member. A file is replaced when all bytes are there and durable.

    Args:
        wanted: The member and the target.
        endpoints: Stores and servers.
        options: What digest to expect. Seeds and deltas are not used.
        progress: Receives phases, bytes and notes.

    Raises:
        UnsupportedError: It is sparse, encrypted, or compressed in another way than deflate.
        WriteError, NoSpaceError, LockedError: The target cannot be written.
        NotFoundError: No source has a chunk.
        IntegrityError: The archive is damaged there, or the digest is another one.
        RemoteError, TimedOutError: Requests to servers failed.
    """
    found, target, since, loader = wanted
    member = found.member
    progress.start("pulling", member.length)
    digest = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        for block in member.read(0, member.length):
            digest.update(block)
            yield block
            progress.advance(len(block))

    if isinstance(target, TargetPlace):
        check_space(target, member.length)
        with open_sink(target, member.length) as sink:
            _fill(sink, blocks())
            _expect(digest.digest(), options)
            for note in sink.commit():
                progress.note(note)
    else:
        for block in blocks():
            target.write(block)
        _expect(digest.digest(), options)
    if endpoints.lasting:
        loader.flush()
    return Pulled(
        manifest=found.manifest,
        length=member.length,
        outcome="written" if isinstance(target, TargetPlace) else "streamed",
        sources={label: count for label, count in found.source.given.items() if count},
        seeds={},
        traffic=endpoints.traffic,
        seconds=time.monotonic() - since,
    )


def forecast_member(
    wanted: MemberToPull, endpoints: Endpoints, options: PullOptions = PullOptions()
) -> Forecast:
    """Computes about what `pull_member` with the same arguments would fetch.

    Raises:
        CasyncError: As `pull_member`.
    """
    found, target, _, _ = wanted
    if isinstance(target, TargetPlace):
        check_space(target, found.member.length)
    outline, (start, end) = found.archive, found.member.stored_range()
    supplies: list[Supply] = [StoreSupply(store) for store in endpoints.local]
    if endpoints.servers:
        supplies.append(ServerSupply(endpoints.servers, Seeds(endpoints.store), options.delta))
    totals = PlanTotals(endpoints.traffic.received)
    chunks: dict[ChunkId, int] = {}
    for offset, run in runs(outline.content, outline.node, start):
        if offset >= end:
            break
        if not outline.is_hole(run.id, run.length):
            chunks[ChunkId(run.id)] = run.length
        if len(chunks) == MAX_BATCH_IDS:
            totals.supply(chunks, supplies)
            chunks = {}
    totals.supply(chunks, supplies)
    return totals.result(outline, [])._replace(manifest=found.manifest, length=found.member.length)


def _fill(sink: Sink, blocks: Iterator[bytes]) -> None:
    at = 0
    for block in blocks:
        sink.write(at, [block])
        at += len(block)


def _expect(digest: bytes, options: PullOptions) -> None:
    expected = options.expect_sha256
    if expected is not None and digest != expected:
        raise DigestMismatchError(f"the member has SHA-256 {digest.hex()}, not {expected.hex()}")
