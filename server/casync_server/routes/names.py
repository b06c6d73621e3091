"""Names: lists them, shows one or its history, sets and removes one."""

from __future__ import annotations

import re
from itertools import dropwhile
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from casync.errors import NoNameError, UsageError
from casync.limits import MAX_NAME_BYTES, PAGE_ITEMS
from casync.names.name import Name, NameRecord, Ref, parse_name
from casync.names.name_update import NameUpdate
from casync.store.base import ManifestSource
from casync.wire.documents import (
    JSON_TYPE,
    HistoryPage,
    NameItem,
    NamePage,
    encode_document,
    name_item,
    parse_hash,
)
from casync.wire.edits import NameChange, NextItem, ProvingItem, RemovalItem
from casync_server.deps import (
    PushIfAny,
    Reads,
    Writes,
    parse_push,
    read_document,
)
from casync_server.http.caching import FRESH
from casync_server.http.page import page_of
from casync_server.openapi import document, document_body, problems
from casync_server.reading.url_ref import parse_url_ref
from casync_server.routes.push import proving_response
from casync_server.routes.trash import removal_response

__all__ = ["Limit", "router"]

router: Final = APIRouter(tags=["names"])

_VERSION: Final = re.compile(r'"([1-9][0-9]{0,17})"', re.ASCII)

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
    prefix: Annotated[
        str, Query(max_length=MAX_NAME_BYTES, description="Prefix of the names.")
    ] = "",
    after: Annotated[
        str, Query(max_length=MAX_NAME_BYTES, description="The last name of the previous page.")
    ] = "",
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """Lists the newest version of each name. The last name is `after` of the next page."""
    page = await service.read(lambda: _page(service.store, prefix, after, limit))
    return _answer(encode_document(page))


def _page(store: ManifestSource, prefix: str, after: str, limit: int) -> NamePage:
    records = dropwhile(lambda record: record.name <= after, store.names(prefix))
    return NamePage(*page_of(map(name_item, records), limit, _text_bytes))


def _text_bytes(item: NameItem) -> int:
    return len(item.name) + len(item.signed)


@router.head("/v1/names/{name:path}", include_in_schema=False)
@router.get(
    "/v1/names/{name:path}",
    summary="One name",
    operation_id="getName",
    response_class=Response,
    responses={
        200: document("The newest version; a page with `history`.", NameItem, HistoryPage),
        **problems(404, 422),
    },
)
async def get_name(
    name: str,
    service: Reads,
    history: Annotated[str | None, Query(description="Return all versions.")] = None,
    after: Annotated[
        int, Query(ge=0, le=2**62, description="The last version of the previous page.")
    ] = 0,
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """The newest version of a name, or version N of NAME@N; all with `?history`, oldest first."""
    ref = _parse(name)
    label = Name(ref.name or "")
    records = await service.read(lambda: service.store.history(label))
    found = [record for record in records if ref.version in (0, record.version)]
    if not found:
        raise NoNameError(f"no name {ref} here")
    if history is None:
        return _answer(encode_document(name_item(found[-1])), version=found[-1].version)
    found = [record for record in found if record.version > after]
    return _answer(
        encode_document(HistoryPage(*page_of(map(name_item, found), limit, _text_bytes)))
    )


@router.get(
    "/v1/next/{name:path}",
    summary="The next version of a name",
    operation_id="getNextVersion",
    response_class=Response,
    responses={
        200: document("The number of the next version, and the newest version.", NextItem),
        **problems(422),
    },
)
async def get_next(name: str, writing: Writes) -> Response:
    """For publishers, which sign a version before they set it. The name need not exist."""
    label = parse_name(name)
    writing.check_name(label)
    number, newest = await writing.run(lambda: writing.store.upcoming(label))
    item = NextItem(number, None if newest is None else name_item(newest))
    return _answer(encode_document(item))


@router.put(
    "/v1/names/{name:path}",
    summary="Set a name",
    operation_id="setName",
    response_class=Response,
    responses={
        200: document("The new version.", NameItem),
        202: document("The manifest is still being checked; repeat the request.", ProvingItem),
        **problems(409, 412, 413, 415, 507),
    },
    openapi_extra=document_body("What the name shall point to.", NameChange),
)
async def set_name(
    request: Request,
    name: str,
    writing: Writes,
    if_match: Annotated[
        str | None, Header(description='Only if this is the newest version, as "3".')
    ] = None,
    if_none_match: Annotated[str | None, Header(description="*: only if the name is new.")] = None,
    push: PushIfAny = "",
) -> Response:
    """Points a name to a manifest, as its next version. Repeating the request changes nothing.

    All objects below the manifest must be in the store. The manifest is then listed and served.
    """
    label = parse_name(name)
    expected = _expected(if_match, if_none_match)
    wanted = await read_document(request, NameChange)
    update = NameUpdate(label, parse_hash(wanted.manifest), expected, wanted.signed)
    record = await writing.run(lambda: writing.publish(parse_push(push), update))
    if not isinstance(record, NameRecord):
        return proving_response(record or 0)
    return _answer(encode_document(name_item(record)), version=record.version)


@router.delete(
    "/v1/names/{name:path}",
    summary="Remove a name",
    operation_id="removeName",
    response_class=Response,
    responses={200: document("What was moved to the trash.", RemovalItem), **problems(404, 507)},
)
async def remove_name(name: str, writing: Writes) -> Response:
    """Moves a name with all its versions to the trash, or only version N of NAME@N."""
    ref = _parse(name)
    return removal_response(await writing.run(lambda: writing.store.remove([ref])))


def _parse(text: str) -> Ref:
    """Parses NAME or NAME@N.

    Raises:
        UsageError: It is neither.
    """
    ref = parse_url_ref(text)
    if ref.name is None:
        raise UsageError("a name is needed here, not a hash")
    return ref


def _expected(if_match: str | None, if_none_match: str | None) -> int | None:
    """The version that must be the newest; 0 for a new name, None for any.

    Raises:
        UsageError: A field has another value.
    """
    if if_match is None and if_none_match is None:
        return None
    if if_match is None and if_none_match == "*":
        return 0
    version = _VERSION.fullmatch(if_match or "")
    if version is None or if_none_match is not None:
        raise UsageError('setting a name takes If-Match: "N", or If-None-Match: *, or neither')
    return int(version[1])


def _answer(data: bytes, *, version: int = 0) -> Response:
    headers = {"Cache-Control": FRESH} | ({"ETag": f'"{version}"'} if version else {})
    return Response(data, media_type=JSON_TYPE, headers=headers)
