"""Trees as archives: made while they are sent, and never stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

from blake3 import blake3
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from casync.access.tree_load import Tree
from casync.archives.writing.gzip_writer import DEFLATE_BUILD
from casync.archives.writing.new_format import NewFormat
from casync.errors import UsageError
from casync.ids import Buffer, ChunkId
from casync.ops.archive.export import TreeExport, export_tree
from casync.store.base import ManifestSource
from casync_server.deps import Reads
from casync_server.http.byte_range import (
    ByteSpan,
    UnsatisfiableError,
    matches_etag,
    parse_range,
    range_applies,
)
from casync_server.http.caching import etag_of, not_modified, policy_for_ref
from casync_server.http.request_stats import RequestStats, request_stats
from casync_server.limits.rate_limit import address_of
from casync_server.openapi import binary, problems
from casync_server.problems import problem_response
from casync_server.reading.content import tell_damage
from casync_server.reading.streaming import StreamedResponse
from casync_server.reading.url_ref import locate_url
from casync_server.routes.files import RANGE_PARAMETER, disposition

__all__ = ["router"]

router: Final = APIRouter(tags=["archives"])

_TYPES: Final = {
    NewFormat.TAR: "application/x-tar",
    NewFormat.TGZ: "application/gzip",
    NewFormat.ZIP: "application/zip",
    NewFormat.MSGPACK: "application/x-msgpack",
}
_LAYOUT: Final = b"2"
"""Part of every ETag: another number when the writers write other bytes."""


@router.head("/v1/archives/{ref:path}", include_in_schema=False)
@router.get(
    "/v1/archives/{ref:path}",
    summary="A folder as an archive",
    operation_id="getArchive",
    response_class=Response,
    responses={
        200: {
            "description": "The whole archive.",
            "content": {media: binary(media, "")["content"][media] for media in _TYPES.values()},
        },
        206: {
            "description": "The requested range, of tar and msgpack.",
            "content": {
                media: binary(media, "")["content"][media]
                for media in (_TYPES[NewFormat.TAR], _TYPES[NewFormat.MSGPACK])
            },
        },
        304: {"description": "The client's copy is current."},
        **problems(404, 416, 422, 500),
    },
    openapi_extra={"parameters": [RANGE_PARAMETER]},
)
async def get_archive(
    request: Request,
    ref: str,
    service: Reads,
    made: Annotated[NewFormat, Query(alias="format", description="The format of the archive.")],
    prefix: Annotated[
        str, Query(description="How the paths of its members begin, percent-encoded bytes.")
    ] = "",
) -> Response:
    """The folder that a full hash, NAME or NAME@N points to, as an archive.

    It is made while it is sent. Damaged data is never sent: the answer is 500, or breaks off.
    """
    tree, etag = await service.read(lambda: _tree(service.store, ref, made, prefix))
    headers = {
        "ETag": etag,
        "Cache-Control": policy_for_ref(ref),
        "Content-Disposition": disposition(f"{ref.rpartition('/')[2]}.{made}"),
    }
    if_none_match = request.headers.get("if-none-match")
    if if_none_match is not None and matches_etag(if_none_match, etag):
        return not_modified(headers)
    export = await service.read(
        lambda: _export(service.store, tree, made, unquote_to_bytes(prefix))
    )
    headers["Accept-Ranges"] = "bytes" if export.has_ranges else "none"
    if export.length is not None:
        headers["Content-Length"] = str(export.length)
    if request.method == "HEAD":
        head = Response(headers=headers, media_type=_TYPES[made])
        if export.length is None:
            del head.headers["content-length"]
        return head
    try:
        span = _span(request, export, etag)
    except UnsatisfiableError as error:
        return problem_response(
            416,
            error.message,
            code=error.code,
            headers={"Content-Range": f"bytes */{export.length}"},
        )
    if span is not None:
        headers["Content-Length"] = str(span.end - span.start)
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{export.length}"
    return await StreamedResponse.begin(
        _blocks(export, span, request_stats(request.scope)),
        pool=service.pool,
        account=service.answer_memory.open(address_of(request.scope)),
        media_type=_TYPES[made],
        headers=headers,
        status=200 if span is None else 206,
    )


def _tree(store: ManifestSource, ref: str, made: NewFormat, prefix: str) -> tuple[Tree, str]:
    """The tree behind a ref, and the ETag of the archive of it."""
    tree = locate_url(store, ref).content
    if not isinstance(tree, Tree):
        raise UsageError("the ref does not lead to a folder", next_step="Files are at /v1/files.")
    parts = [tree.id, made.encode(), _LAYOUT, unquote_to_bytes(prefix)]
    if made is NewFormat.TGZ:
        parts.insert(0, DEFLATE_BUILD.encode())
    return tree, etag_of(ChunkId(blake3(b"\0".join(parts)).digest()))


def _export(store: ManifestSource, tree: Tree, made: NewFormat, prefix: bytes) -> TreeExport:
    with tell_damage(f"below manifest {tree.id.hex()}"):
        return export_tree(tree, store, made, prefix)


def _span(request: Request, export: TreeExport, etag: str) -> ByteSpan | None:
    field = request.headers.get("range")
    if field is None or export.length is None or not export.has_ranges:
        return None
    if not range_applies(request.headers.get("if-range"), etag):
        return None
    return parse_range(field, export.length)


def _blocks(
    export: TreeExport, span: ByteSpan | None, stats: RequestStats
) -> Iterator[list[Buffer]]:
    with tell_damage(f"below manifest {export.tree.id.hex()}"):
        for block in export.read() if span is None else export.read_range(*span):
            stats.objects += 1
            yield [block]
