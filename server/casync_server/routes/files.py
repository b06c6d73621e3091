"""Content of files for curl, browsers and qemu: whole or one range, every byte verified."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from casync.access.archive import MemberContent
from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.archives.detect import check_type
from casync.errors import UsageError
from casync.ids import ChunkId
from casync_server.deps import Reads, Service
from casync_server.http.byte_range import (
    ByteSpan,
    UnsatisfiableError,
    matches_etag,
    parse_range,
    range_applies,
)
from casync_server.http.caching import etag_of, not_modified, policy_for_ref
from casync_server.http.request_stats import request_stats
from casync_server.limits.rate_limit import address_of
from casync_server.openapi import binary, problems
from casync_server.problems import problem_response
from casync_server.reading.content import read_content, read_member
from casync_server.reading.streaming import StreamedResponse
from casync_server.reading.tree_path import PARAMETERS, place_of
from casync_server.reading.url_ref import locate_url

__all__ = ["RANGE_PARAMETER", "disposition", "router"]

router: Final = APIRouter(tags=["files"])

_Found: TypeAlias = Outline | MemberContent
_TYPE: Final = "application/octet-stream"
RANGE_PARAMETER: Final = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One byte range; several are refused.",
    "schema": {"type": "string", "example": "bytes=0-1023"},
}


_RESPONSES: Final = {
    200: binary(_TYPE, "The whole file."),
    206: binary(_TYPE, "The requested range."),
    304: {"description": "The client's copy is current."},
    **problems(404, 416, 500),
}


# First: the other path pattern matches these as well.
@router.head("/v1/files/{ref:path}/-/{path:path}", include_in_schema=False)
@router.get(
    "/v1/files/{ref:path}/-/{path:path}",
    summary="The bytes of a file in a folder, or of a member of an archive",
    operation_id="getFileInside",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra={"parameters": [*PARAMETERS, RANGE_PARAMETER]},
)
async def get_file_inside(
    request: Request,
    service: Reads,
    archmime: Annotated[
        str | None, Query(description="Refuse a member of an archive that is not of this type.")
    ] = None,
) -> Response:
    """The file at a path in the folder or archive that a full hash, NAME or NAME@N points to.

    The path is percent-encoded bytes. It may go on inside an archive. Links are not followed.
    """
    place = place_of(request, "/v1/files/")
    found = await service.read(lambda: _open(service, place.ref, place.path))
    if isinstance(found, MemberContent):
        if archmime is not None:
            check_type(found.kind, archmime)
        etag = f'"{found.identity}"'
    else:
        etag = etag_of(ChunkId(found.content.id))  # or a node's; a file has one in all folders
    label = place.names[-1].decode(errors="replace")
    return await _answer(request, service, found, etag, place.ref, label)


@router.head("/v1/files/{ref:path}", include_in_schema=False)
@router.get(
    "/v1/files/{ref:path}",
    summary="The bytes of a file",
    operation_id="getFile",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra={"parameters": [RANGE_PARAMETER]},
)
async def get_file(request: Request, ref: str, service: Reads) -> Response:
    """The file that a full hash, NAME or NAME@N points to.

    Damaged data is never sent: the answer is 500, or breaks off.
    """
    found = await service.read(lambda: _open(service, ref))
    assert isinstance(found, Outline)
    label = ref.rpartition("/")[2]
    return await _answer(request, service, found, etag_of(found.id), ref, label)


async def _answer(
    request: Request, service: Service, found: _Found, etag: str, ref: str, label: str
) -> Response:
    """The content of a file, whole or the requested range.

    Args:
        request: The request.
        service: The service.
        found: The file.
        etag: Its ETag.
        ref: The ref in the URL.
        label: The file name for browsers.
    """
    headers = {
        "ETag": etag,
        "Cache-Control": policy_for_ref(ref),
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition(label),
    }
    if_none_match = request.headers.get("if-none-match")
    if if_none_match is not None and matches_etag(if_none_match, etag):
        return not_modified(headers)
    length = found.length
    if request.method == "HEAD":
        headers["Content-Length"] = str(length)
        return Response(headers=headers, media_type=_TYPE)
    try:
        span = _span(request, etag, length)
    except UnsatisfiableError as error:
        return problem_response(
            416, error.message, code=error.code, headers={"Content-Range": f"bytes */{length}"}
        )
    return await _send(request, service, found, span, headers)


def _open(service: Service, ref: str, path: bytes | None = None) -> _Found:
    match locate_url(service.store, ref, path, service.member_indexes).content:
        case Outline() | MemberContent() as found:
            return found
        case Tree():
            raise UsageError(
                "the path leads to a folder, not a file",
                next_step="Folders are listed at /v1/trees/REF/-/PATH.",
            )
        case None:
            raise UsageError("the path leads to a link, device or pipe, not a file")


def _span(request: Request, etag: str, length: int) -> ByteSpan | None:
    field = request.headers.get("range")
    if field is None or not range_applies(request.headers.get("if-range"), etag):
        return None
    return parse_range(field, length)


async def _send(
    request: Request,
    service: Service,
    found: _Found,
    span: ByteSpan | None,
    headers: dict[str, str],
) -> Response:
    length = found.length
    start, end = span or ByteSpan(0, length)
    headers["Content-Length"] = str(end - start)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{length}"
    account = service.answer_memory.open(address_of(request.scope))
    size, stats = account.piece_bytes, request_stats(request.scope)
    if isinstance(found, MemberContent):
        batches = read_member(found, start, end, stats)
    else:
        batches = read_content(service.store, found, start, end, size, stats)
    return await StreamedResponse.begin(
        batches,
        pool=service.pool,
        account=account,
        media_type=_TYPE,
        headers=headers,
        status=200 if span is None else 206,
    )


def disposition(label: str) -> str:
    """A Content-Disposition that makes browsers save under this name (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in label)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(label, safe='')}"
