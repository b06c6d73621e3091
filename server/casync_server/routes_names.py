"""Names: the newest version of each, of one, and the history of one."""

from __future__ import annotations

from itertools import dropwhile, islice
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response

from casync.documents import (
    JSON_TYPE,
    HistoryPage,
    NameItem,
    NamePage,
    encode_document,
    name_item,
)
from casync.errors import NoNameError
from casync.limits import MAX_NAME_BYTES, PAGE_ITEMS
from casync.name import parse_name
from casync.store.base import ManifestSource
from casync_server.caching import FRESH
from casync_server.deps import Reads
from casync_server.openapi import document, problems

__all__ = ["Limit", "router"]

router: Final = APIRouter(tags=["names"])

Limit = Annotated[int, Query(ge=1, le=PAGE_ITEMS, description="Items in the page.")]


@router.get(
    "/v1/names",
    summary="Names",
    operation_id="listNames",
    response_class=Response,
    responses={200: document("A page, ordered by name.", NamePage), **problems(422)},
)
async def list_names(
    service: Reads,
    prefix: Annotated[str, Query(max_length=MAX_NAME_BYTES, description="How they begin.")] = "",
    after: Annotated[
        str, Query(max_length=MAX_NAME_BYTES, description="The last name of the page before.")
    ] = "",
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """Lists the newest version of each name; pass the last one as `after` for the next page."""
    page = await service.read(lambda: _page(service.store, prefix, after, limit))
    return _answer(encode_document(page))


def _page(store: ManifestSource, prefix: str, after: str, limit: int) -> NamePage:
    records = dropwhile(lambda record: record.name <= after, store.names(prefix))
    found = list(islice(records, limit + 1))
    return NamePage([name_item(record) for record in found[:limit]], len(found) > limit)


@router.head("/v1/names/{name:path}", include_in_schema=False)
@router.get(
    "/v1/names/{name:path}",
    summary="One name",
    operation_id="getName",
    response_class=Response,
    responses={
        200: document("The newest version; with `history` a page.", NameItem, HistoryPage),
        **problems(404, 422),
    },
)
async def get_name(
    name: str,
    service: Reads,
    history: Annotated[str | None, Query(description="Ask for all versions.")] = None,
    after: Annotated[int, Query(ge=0, le=2**62, description="Version before the page.")] = 0,
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """The newest version of a name; with `?history` its versions, the oldest first."""
    label = parse_name(name)
    records = await service.read(lambda: service.store.history(label))
    if not records:
        raise NoNameError(f"no name {label} here")
    if history is None:
        return _answer(encode_document(name_item(records[-1])))
    found = [record for record in records if record.version > after]
    items = [name_item(record) for record in found[:limit]]
    return _answer(encode_document(HistoryPage(items, len(found) > limit)))


def _answer(data: bytes) -> Response:
    return Response(data, media_type=JSON_TYPE, headers={"Cache-Control": FRESH})
