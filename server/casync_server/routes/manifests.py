"""Manifests: a list of the complete ones, and one as bytes or as JSON."""

from __future__ import annotations

from itertools import dropwhile, islice
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from casync.ids import ManifestId, parse_manifest_id
from casync.limits import PAGE_ITEMS
from casync.objects.manifest import decode_manifest
from casync.store.base import ManifestSource
from casync.wire.documents import (
    JSON_TYPE,
    ManifestItem,
    ManifestPage,
    ManifestView,
    encode_document,
    manifest_view,
)
from casync.wire.frames import MANIFEST_TYPE
from casync_server.deps import Reads
from casync_server.http.byte_range import matches_etag
from casync_server.http.caching import FRESH, etag_of, not_modified, policy_for_ref
from casync_server.http.request_stats import request_stats
from casync_server.openapi import binary, document, problems
from casync_server.reading.content import load_manifest
from casync_server.reading.url_ref import resolve

__all__ = ["Limit", "router"]

router: Final = APIRouter(tags=["manifests"])

Limit = Annotated[int, Query(ge=1, le=PAGE_ITEMS, description="Items in the page.")]


@router.get(
    "/v1/manifests",
    summary="Complete manifests",
    operation_id="listManifests",
    response_class=Response,
    responses={200: document("A page, ordered by hash.", ManifestPage), **problems(422)},
)
async def list_manifests(
    service: Reads,
    after: Annotated[str, Query(description="The last hash of the previous page.")] = "",
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """Lists manifests whose objects are all here. The last hash is `after` of the next page."""
    start = parse_manifest_id(after) if after else ManifestId(b"")
    page = await service.read(lambda: _page(service.store, start, limit))
    return Response(encode_document(page), media_type=JSON_TYPE, headers={"Cache-Control": FRESH})


def _page(store: ManifestSource, after: ManifestId, limit: int) -> ManifestPage:
    rows = dropwhile(lambda row: row.id <= after, store.manifests())
    found = list(islice(rows, limit + 1))
    items = [ManifestItem(row.id.hex(), row.length, row.created) for row in found[:limit]]
    return ManifestPage(items, len(found) > limit)


@router.head("/v1/manifests/{ref:path}", include_in_schema=False)
@router.get(
    "/v1/manifests/{ref:path}",
    summary="One manifest",
    operation_id="getManifest",
    response_class=Response,
    responses={
        200: {
            "description": "The manifest's bytes, whose hash is its id, or a JSON view.",
            "content": {
                **binary(MANIFEST_TYPE, "")["content"],
                **document("", ManifestView)["content"],
            },
        },
        304: {"description": "The client's copy is current."},
        **problems(404, 500),
    },
)
async def get_manifest(request: Request, ref: str, service: Reads) -> Response:
    """The manifest that a full hash, NAME or NAME@N points to.

    Its bytes by default; JSON if `Accept` prefers it.
    """
    store = service.store
    as_json = _prefers_json(request.headers.get("accept", ""))
    ident = await service.read(lambda: resolve(store, ref))
    etag = etag_of(ident).replace('"', '"json-', 1) if as_json else etag_of(ident)
    headers = {"ETag": etag, "Cache-Control": policy_for_ref(ref), "Vary": "Accept"}
    if_none_match = request.headers.get("if-none-match")
    if if_none_match is not None and matches_etag(if_none_match, etag):
        return not_modified(headers)
    data = await service.read(lambda: load_manifest(store, ident))
    request_stats(request.scope).objects += 1
    if not as_json:
        return Response(data, media_type=MANIFEST_TYPE, headers=headers)
    row = await service.read(lambda: store.manifest(ident))
    view = manifest_view(ident, decode_manifest(data), row.created if row else 0)
    return Response(encode_document(view), media_type=JSON_TYPE, headers=headers)


def _prefers_json(accept: str) -> bool:
    """Whether `accept` names JSON with more weight than the manifest's own type."""
    weights: dict[str, float] = {}
    for item in accept.split(","):
        name, _, parameters = item.partition(";")
        weight = 1.0
        for parameter in parameters.split(";"):
            key, _, value = parameter.strip().partition("=")
            if key == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        weights[name.strip().lower()] = weight
    binary_weight = weights.get(MANIFEST_TYPE, weights.get("application/octet-stream", 0.0))
    return weights.get(JSON_TYPE, 0.0) > binary_weight
