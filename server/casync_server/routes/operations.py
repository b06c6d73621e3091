"""For people who run the server: what it is, whether it lives, whether it takes work."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from casync.limits import (
    MAX_BATCH_BASES,
    MAX_BATCH_BYTES,
    MAX_BATCH_IDS,
    MAX_GROUP_BYTES,
    PAGE_ITEMS,
)
from casync.objects.chunker import DEFAULT_PARAMS
from casync.wire.documents import (
    API_VERSION,
    JSON_TYPE,
    Info,
    LimitsItem,
    chunker_item,
    encode_document,
)
from casync_server.access.metrics import METRICS_TYPE
from casync_server.deps import Reads
from casync_server.http.caching import FRESH, NEVER
from casync_server.openapi import document, problems, text
from casync_server.pages.docs import DOCS_POLICY, render
from casync_server.problems import problem_response

__all__ = ["program", "router"]

router: Final = APIRouter(tags=["operations"])


def program() -> str:
    """Name and version of what runs here."""
    try:
        return f"casync {version('casync')}"
    except PackageNotFoundError:
        return "casync"


@router.get(
    "/v1/info",
    summary="What this server is",
    operation_id="getInfo",
    response_class=Response,
    responses={200: document("Version, store, limits, defaults.", Info)},
)
async def get_info(service: Reads) -> Response:
    """The version of the protocol, the id of the store, what one request may ask for."""
    info = Info(
        api=API_VERSION,
        program=program(),
        store=service.store_id,
        limits=LimitsItem(
            MAX_BATCH_IDS, MAX_BATCH_BYTES, PAGE_ITEMS, MAX_BATCH_BASES, MAX_GROUP_BYTES
        ),
        chunker=chunker_item(DEFAULT_PARAMS),
    )
    return Response(encode_document(info), media_type=JSON_TYPE, headers={"Cache-Control": FRESH})


@router.head("/healthz", include_in_schema=False)
@router.get(
    "/healthz",
    summary="Whether the process lives",
    operation_id="getHealth",
    response_class=PlainTextResponse,
    responses={200: text("It does.")},
)
async def get_health() -> Response:
    """Touches nothing: a slow disk is no reason to be killed."""
    return PlainTextResponse("ok\n", headers={"Cache-Control": NEVER})


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Whether the server takes work",
    operation_id="getReadiness",
    response_class=PlainTextResponse,
    responses={200: text("It does."), **problems(503)},
)
async def get_readiness(service: Reads) -> Response:
    """Reads one row of the store; says no while the server stops."""
    if service.draining:
        return problem_response(503, "the server is stopping", code="stopped")
    await service.read(lambda: next(service.store.manifests(), None))
    return PlainTextResponse("ok\n", headers={"Cache-Control": NEVER})


@router.get(
    "/metrics",
    summary="What the server did, and what the store holds",
    operation_id="getMetrics",
    response_class=PlainTextResponse,
    responses={200: text("Metrics in the text format of Prometheus.")},
)
async def get_metrics(service: Reads) -> Response:
    """Of all workers together. Has no names and no ids."""
    body = await service.read(service.metrics.render)
    return Response(body, media_type=METRICS_TYPE, headers={"Cache-Control": NEVER})


@router.get("/docs", include_in_schema=False)
async def get_docs(request: Request) -> Response:
    """The description of this interface, as a page that loads nothing from anywhere."""
    page = render(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": DOCS_POLICY})
