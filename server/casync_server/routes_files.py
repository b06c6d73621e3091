"""The content itself, for curl, browsers and qemu: whole or one range, every byte proved."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from casync.errors import UsageError
from casync.ops.outline import Outline
from casync_server.access_log import tally_of
from casync_server.byte_range import (
    Span,
    UnsatisfiableError,
    matches_etag,
    parse_range,
    range_applies,
)
from casync_server.caching import etag_of, not_modified, policy_for_ref
from casync_server.content import load_outline, read_content
from casync_server.deps import Reads, Service, resolve
from casync_server.openapi import binary, problems
from casync_server.problems import problem_response
from casync_server.streaming import StreamedResponse, pieces

__all__ = ["router"]

router: Final = APIRouter(tags=["files"])

_TYPE: Final = "application/octet-stream"
_RANGE_PARAMETER: Final = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One range of bytes; several are refused.",
    "schema": {"type": "string", "example": "bytes=0-1023"},
}


@router.head("/v1/files/{ref:path}", include_in_schema=False)
@router.get(
    "/v1/files/{ref:path}",
    summary="The bytes of a file",
    operation_id="getFile",
    response_class=Response,
    responses={
        200: binary(_TYPE, "The whole file."),
        206: binary(_TYPE, "The range that was asked for."),
        304: {"description": "The client has it."},
        **problems(404, 416, 500),
    },
    openapi_extra={"parameters": [_RANGE_PARAMETER]},
)
async def get_file(request: Request, ref: str, service: Reads) -> Response:
    """The file that a full hash, NAME or NAME@N points to.

    What is damaged in the store is never sent: the answer is 500, or breaks off.
    """
    outline = await service.read(lambda: _open(service, ref))
    etag = etag_of(outline.id)
    headers = {
        "ETag": etag,
        "Cache-Control": policy_for_ref(ref),
        "Accept-Ranges": "bytes",
        "Content-Disposition": _disposition(ref),
    }
    if_none_match = request.headers.get("if-none-match")
    if if_none_match is not None and matches_etag(if_none_match, etag):
        return not_modified(headers)
    length = outline.content.length
    if request.method == "HEAD":
        headers["Content-Length"] = str(length)
        return Response(headers=headers, media_type=_TYPE)
    try:
        span = _span(request, etag, length)
    except UnsatisfiableError as error:
        return problem_response(
            416, error.message, code=error.code, headers={"Content-Range": f"bytes */{length}"}
        )
    return await _send(request, service, outline, span, headers)


def _open(service: Service, ref: str) -> Outline:
    outline = load_outline(service.store, resolve(service.store, ref))
    if outline.manifest.kind != "file":
        raise UsageError("this is a folder, not a file")
    return outline


def _span(request: Request, etag: str, length: int) -> Span | None:
    field = request.headers.get("range")
    if field is None or not range_applies(request.headers.get("if-range"), etag):
        return None
    return parse_range(field, length)


async def _send(
    request: Request,
    service: Service,
    outline: Outline,
    span: Span | None,
    headers: dict[str, str],
) -> Response:
    length = outline.content.length
    start, end = span or Span(0, length)
    headers["Content-Length"] = str(end - start)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{length}"
    parts = read_content(service.store, outline, start, end, tally_of(request.scope))
    stream = pieces(parts, service.budget.piece_bytes)
    first = await service.read(lambda: next(stream, []))
    return StreamedResponse(
        first,
        stream,
        pool=service.pool,
        budget=service.budget,
        media_type=_TYPE,
        headers=headers,
        status=200 if span is None else 206,
    )


def _disposition(ref: str) -> str:
    """Tells browsers to save, under the last component of the ref (RFC 6266)."""
    label = ref.rpartition("/")[2]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in label)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(label, safe='')}"
