"""Objects by id: many in one stream of frames, their sizes, or a single one for CDNs.

An object is served to any caller that knows its id, whatever the state of the manifests that list
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from casync.errors import DamagedObjectError, NoObjectError, UsageError
from casync.ids import Buffer, ChunkId, Kind, ObjectId
from casync.objects.codec import Packed
from casync.store.base import Absence
from casync.wire.frames import END_FRAME, FRAMES_TYPE, Answer, encode_answers, encode_frames
from casync.wire.requests import (
    IDS_TYPE,
    MAX_IDS_BYTES,
    SIZES_TYPE,
    IdsRequest,
    decode_groups,
    decode_ids,
    encode_sizes,
)
from casync_server.deps import PushIfAny, Reads, get_writing, parse_push, read_list
from casync_server.http.byte_range import matches_etag
from casync_server.http.caching import IMMUTABLE, NEVER, etag_of, not_modified
from casync_server.http.request_stats import request_stats
from casync_server.limits.rate_limit import address_of
from casync_server.openapi import binary, binary_body, problems
from casync_server.reading.objects import answers
from casync_server.reading.streaming import StreamedResponse

__all__ = ["router"]

router: Final = APIRouter(tags=["objects"])

_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KINDS: Final = {kind.name.lower(): kind for kind in Kind}


@router.post(
    "/v1/objects/fetch",
    summary="Many objects of one kind, in one stream",
    operation_id="fetchObjects",
    response_class=Response,
    responses={200: binary(FRAMES_TYPE, "One frame per answer, and an end."), **problems(413, 415)},
    openapi_extra=binary_body(IDS_TYPE, "The ids to fetch.", MAX_IDS_BYTES),
)
async def fetch_objects(request: Request, service: Reads) -> Response:
    """Answers each id, in order, with its stored payload or with the reason why there is none.

    A group of ids may be answered with one delta, if the store has its bases, too.
    A stream without its end frame is incomplete.
    """
    if request.scope["http_version"] == "1.0":
        raise HTTPException(505, "a stream of frames needs HTTP/1.1")
    wanted = await read_list(request, decode_groups)
    account = service.answer_memory.open(address_of(request.scope))
    turn = partial(service.delta_cpu.turn, request.client.host if request.client else None)
    stats = request_stats(request.scope)
    found = answers(service.store, wanted, account.piece_bytes, stats, turn)
    return await StreamedResponse.begin(
        chain(map(_frames, found), [[END_FRAME]]),
        pool=service.pool,
        account=account,
        media_type=FRAMES_TYPE,
        headers={"Cache-Control": NEVER},
    )


@router.post(
    "/v1/objects/stat",
    summary="Sizes of many objects of one kind",
    operation_id="statObjects",
    response_class=Response,
    responses={200: binary(SIZES_TYPE, "A row of sizes per id."), **problems(404, 413, 415)},
    openapi_extra=binary_body(IDS_TYPE, "The ids to look up.", MAX_IDS_BYTES),
)
async def stat_objects(request: Request, service: Reads, push: PushIfAny = "") -> Response:
    """Answers each id with its plain and stored sizes; all bits are ones if it is missing.

    With a push, objects found are kept for as long as the push is open.
    """
    writing = await get_writing(service) if push else None
    kind, ids = await read_list(request, decode_ids)
    if writing is None:
        rows = await service.read(lambda: service.store.stat(kind, ids))
    else:
        promise = writing.store.pushes.promise
        rows = await writing.run(lambda: promise(parse_push(push), kind, ids))
    return Response(encode_sizes(rows), media_type=SIZES_TYPE, headers={"Cache-Control": NEVER})


@router.head("/v1/objects/{kind}/{ident}", include_in_schema=False)
@router.get(
    "/v1/objects/{kind}/{ident}",
    summary="One object",
    operation_id="getObject",
    response_class=Response,
    responses={
        200: binary(FRAMES_TYPE, "One object's frame and an end."),
        304: {"description": "The client's copy is current."},
        **problems(404, 500),
    },
)
async def get_object(request: Request, kind: str, ident: str, service: Reads) -> Response:
    """The stored payload of one object, as a stream of one frame."""
    wanted = _parse(kind, ident)
    headers = {"ETag": etag_of(wanted.ids[0]), "Cache-Control": IMMUTABLE}
    if request.method == "HEAD":
        return await _head(service, wanted, headers)
    if_none_match = request.headers.get("if-none-match")
    if if_none_match is not None and matches_etag(if_none_match, headers["ETag"]):
        await _head(service, wanted, headers)
        return not_modified(headers)
    answer = await StreamedResponse.begin(
        map(partial(_one, f"{kind} {ident}"), service.store.get(*wanted)),
        pool=service.pool,
        account=service.answer_memory.open(address_of(request.scope)),
        media_type=FRAMES_TYPE,
        headers=headers,
        is_one_piece=True,
    )
    request_stats(request.scope).objects += 1
    return answer


def _frames(found: Iterable[Answer]) -> list[Buffer]:
    return list(encode_answers(found))


def _one(label: str, found: Packed | Absence) -> list[Buffer]:
    """The stream of one object.

    Raises:
        NoObjectError, DamagedObjectError, HTTPException: It is missing, damaged or busy.
    """
    if isinstance(found, Packed):
        return list(encode_frames([found]))
    if found is Absence.MISSING:
        raise NoObjectError(f"{label} is not in this store")
    if found is Absence.DAMAGED:
        raise DamagedObjectError(f"{label} is damaged in this store")
    raise HTTPException(503, f"{label} is busy", {"Retry-After": "1"})


async def _head(service: Reads, wanted: IdsRequest, headers: dict[str, str]) -> Response:
    (stat,) = await service.read(lambda: service.store.stat(*wanted))
    if stat is None:
        raise NoObjectError("the object is not in this store")
    overhead = len(b"".join(encode_frames(()))) * 2  # the frame's header and the end
    length = str(stat.stored + overhead)
    return Response(headers={**headers, "Content-Length": length}, media_type=FRAMES_TYPE)


def _parse(kind: str, ident: str) -> IdsRequest:
    if kind not in _KINDS:
        raise UsageError(f"the kind of an object is one of {', '.join(_KINDS)}, not {kind}")
    if not _ID.fullmatch(ident):
        raise UsageError("an id needs 64 lower-case hex digits")
    ids: list[ObjectId] = [ChunkId(bytes.fromhex(ident))]
    return IdsRequest(_KINDS[kind], ids)
