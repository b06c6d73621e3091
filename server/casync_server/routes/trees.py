"""Listings of folders, as JSON or as HTML for browsers."""

from __future__ import annotations

from itertools import dropwhile
from typing import Annotated, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from casync.access.tree_load import Tree
from casync.errors import UsageError
from casync.limits import PAGE_ITEMS
from casync.objects.tree import Device, Entry, File, Folder, Link, Pipe
from casync.store.base import ManifestSource
from casync.wire.documents import JSON_TYPE, TreeItem, TreeKind, TreePage, encode_document
from casync_server.deps import Reads
from casync_server.http.accept import HTML_TYPE, wants_html
from casync_server.http.caching import policy_for_ref
from casync_server.http.page import page_of
from casync_server.http.request_stats import request_stats
from casync_server.openapi import document, problems, text
from casync_server.pages.tree_listing import tree_listing
from casync_server.reading.content import tell_damage
from casync_server.reading.tree_path import PARAMETERS, TreePath, place_of
from casync_server.reading.url_ref import locate_url
from casync_server.routes.manifests import Limit

__all__ = ["router"]

router: Final = APIRouter(tags=["trees"])

_KINDS: Final[dict[type[Entry], TreeKind]] = {
    File: "file",
    Folder: "folder",
    Link: "link",
    Device: "device",
    Pipe: "pipe",
}


@router.get(
    "/v1/trees/{ref:path}/-/{path:path}",
    summary="The entries of a folder",
    operation_id="listTree",
    response_class=Response,
    responses={
        200: {
            "description": "A page, ordered by name; HTML if `Accept` names it first.",
            "content": {
                **document("", TreePage)["content"],
                HTML_TYPE: text("")["content"]["text/plain"],
            },
        },
        **problems(404, 422, 500),
    },
    openapi_extra={"parameters": PARAMETERS},
)
async def list_tree(
    request: Request,
    service: Reads,
    after: Annotated[
        str, Query(description="The last `name` of the previous page, in the same encoding.")
    ] = "",
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """The entries of a folder in the tree that a full hash, NAME or NAME@N points to.

    The path is percent-encoded bytes. If it is empty, the root is listed.
    """
    place = place_of(request, "/v1/trees/")
    page = await service.read(lambda: _page(service.store, place, unquote_to_bytes(after), limit))
    request_stats(request.scope).objects += len(page.entries)
    headers = {"Cache-Control": policy_for_ref(place.ref), "Vary": "Accept"}
    if wants_html(request.headers.get("accept", "")):
        return Response(tree_listing(place, page), media_type=HTML_TYPE, headers=headers)
    return Response(encode_document(page), media_type=JSON_TYPE, headers=headers)


def _page(store: ManifestSource, place: TreePath, after: bytes, limit: int) -> TreePage:
    tree = locate_url(store, place.ref, place.path).content
    if not isinstance(tree, Tree):
        raise UsageError(
            "the path does not lead to a folder", next_step="Files are at /v1/files/REF/-/PATH."
        )
    with tell_damage(f"below manifest {tree.id.hex()}"):
        inside = tree.entries(tree.root.content)
        rest = dropwhile(lambda entry: entry.name <= after, inside)
        items, more = page_of(map(_item, rest), limit, _text_bytes)
    return TreePage(items, more)


def _text_bytes(item: TreeItem) -> int:
    return len(item.name) + len(item.target or "")


def _item(entry: Entry) -> TreeItem:
    return TreeItem(
        name=quote_from_bytes(entry.name, safe=""),
        kind=_KINDS[type(entry)],
        mode=entry.meta.mode,
        mtime_ns=entry.meta.mtime_ns,
        length=entry.content.length if isinstance(entry, File) else None,
        content=entry.content.id.hex() if isinstance(entry, File | Folder) else None,
        target=quote_from_bytes(entry.target) if isinstance(entry, Link) else None,
    )
