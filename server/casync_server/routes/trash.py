"""The trash: lists it, moves names and manifests there, and restores them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from casync.limits import PAGE_ITEMS
from casync.store.base import Removal, Removed
from casync.wire.documents import JSON_TYPE, encode_document, name_item
from casync.wire.edits import Refs, RemovalItem, TrashItem, TrashPage
from casync_server.deps import Writes, read_document
from casync_server.http.caching import FRESH, NEVER
from casync_server.openapi import document, document_body, problems
from casync_server.reading.url_ref import parse_url_ref

__all__ = ["removal_response", "router"]

router: Final = APIRouter(tags=["trash"])

_MOST_REMOVED: Final = 2**31


@router.get(
    "/v1/trash",
    summary="Removed names and manifests",
    operation_id="listTrash",
    response_class=Response,
    responses={200: document("A page, latest last.", TrashPage), **problems(422)},
)
async def list_trash(
    writing: Writes,
    skip: Annotated[int, Query(ge=0, le=_MOST_REMOVED, description="Entries before the page.")] = 0,
) -> Response:
    """Lists removed versions of names, and removed manifests without a name."""
    removed = await writing.run(writing.store.removed)
    rows = [_trash_item(entry) for entry in removed[skip : skip + PAGE_ITEMS]]
    page = TrashPage(rows, len(removed) > skip + PAGE_ITEMS)
    return Response(encode_document(page), media_type=JSON_TYPE, headers={"Cache-Control": FRESH})


@router.post(
    "/v1/trash",
    summary="Remove names and manifests",
    operation_id="remove",
    response_class=Response,
    responses={200: document("What was moved.", RemovalItem), **problems(404, 413, 415, 507)},
    openapi_extra=document_body("What to remove.", Refs),
)
async def remove(request: Request, writing: Writes) -> Response:
    """Moves names with all versions, single versions, and manifests to the trash. Atomic."""
    wanted = await read_document(request, Refs)
    refs = [parse_url_ref(text) for text in wanted.refs]
    move = writing.store.removal if wanted.dry_run else writing.store.remove
    return removal_response(await writing.run(lambda: move(refs)))


@router.post(
    "/v1/trash/restore",
    summary="Restore names and manifests",
    operation_id="restore",
    response_class=Response,
    responses={200: document("What was restored.", RemovalItem), **problems(404, 413, 415, 507)},
    openapi_extra=document_body("What to restore; `dry_run` is ignored.", Refs),
)
async def restore(request: Request, writing: Writes) -> Response:
    """Restores names with all their removed versions, single versions, and manifests. Atomic."""
    wanted = await read_document(request, Refs)
    refs = [parse_url_ref(text) for text in wanted.refs]
    return removal_response(await writing.run(lambda: writing.store.restore(refs)))


def removal_response(removal: Removal) -> Response:
    """The answer that lists what was moved."""
    versions = [name_item(record) for record in removal.versions[:PAGE_ITEMS]]
    manifests = [ident.hex() for ident in removal.manifests[:PAGE_ITEMS]]
    more = max(len(removal.versions), len(removal.manifests)) > PAGE_ITEMS
    body = encode_document(RemovalItem(versions, manifests, more))
    return Response(body, media_type=JSON_TYPE, headers={"Cache-Control": NEVER})


def _trash_item(removed: Removed) -> TrashItem:
    version = name_item(removed.record) if removed.record is not None else None
    return TrashItem(removed.manifest.hex(), version, removed.removed)
