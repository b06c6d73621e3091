"""Operation of the server: info, health, readiness, metrics and API description."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from fastapi import APIRouter, HTTPException, Request
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
from casync_server.http.accept import wants_html
from casync_server.http.caching import FRESH, NEVER, PAGE
from casync_server.openapi import document, problems, text
from casync_server.pages.docs import render
from casync_server.pages.frame import PAGE_POLICY
from casync_server.pages.front import FRONT_PAGE
from casync_server.problems import problem_response

__all__ = ["program", "router"]

router: Final = APIRouter(tags=["operations"])


def program() -> str:
    """Name and version of the program."""
    try:
        return f"casync {version('casync')}"
    except PackageNotFoundError:
        return "casync"


@router.get(
    "/v1/info",
    summary="The server and its limits",
    operation_id="getInfo",
    response_class=Response,
    responses={200: document("Version, store, limits, defaults.", Info)},
)
async def get_info(service: Reads) -> Response:
    """The protocol version, the id of the store, and the limits of a request."""
    info = Info(
        api=API_VERSION,
        program=program(),
        store=await service.read(service.store_id),
        limits=LimitsItem(
            MAX_BATCH_IDS, MAX_BATCH_BYTES, PAGE_ITEMS, MAX_BATCH_BASES, MAX_GROUP_BYTES
        ),
        chunker=chunker_item(DEFAULT_PARAMS),
    )
    return Response(encode_document(info), media_type=JSON_TYPE, headers={"Cache-Control": FRESH})


@router.head("/healthz", include_in_schema=False)
@router.get(
    "/healthz",
    summary="Whether the process is alive",
    operation_id="getHealth",
    response_class=PlainTextResponse,
    responses={200: text("It is alive.")},
)
async def get_health() -> Response:
    """Does not touch the store: a slow disk is no reason to kill the process."""
    return PlainTextResponse("ok\n", headers={"Cache-Control": NEVER})


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Whether the server accepts requests",
    operation_id="getReadiness",
    response_class=PlainTextResponse,
    responses={200: text("It accepts requests."), **problems(503)},
)
async def get_readiness(service: Reads) -> Response:
    """Reads one row of the store. Answers 503 while the server stops, or has lost its bucket."""
    if service.draining:
        return problem_response(503, "the server is stopping", code="stopped")
    if service.follower is not None and (waits := service.follower.waits_for):
        return problem_response(503, f"this server waits for {waits}", headers={"Retry-After": "2"})
    await service.read(lambda: next(service.store.manifests(), None))
    return PlainTextResponse("ok\n", headers={"Cache-Control": NEVER})


@router.get(
    "/metrics",
    summary="Metrics of the server and its store",
    operation_id="getMetrics",
    response_class=PlainTextResponse,
    responses={200: text("Metrics in the text format of Prometheus.")},
)
async def get_metrics(service: Reads) -> Response:
    """Sums over all workers, without names or ids."""
    body = await service.read(service.metrics.render)
    return Response(body, media_type=METRICS_TYPE, headers={"Cache-Control": NEVER})


@router.head("/", include_in_schema=False)
@router.get("/", include_in_schema=False)
async def get_front(request: Request) -> Response:
    """A page for browsers; there is nothing here for programs."""
    if not wants_html(request.headers.get("accept", "")):
        raise HTTPException(404, headers={"Vary": "Accept"})
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": PAGE, "Vary": "Accept"}
    return HTMLResponse(FRONT_PAGE, headers=headers)


@router.get("/docs", include_in_schema=False)
async def get_docs(request: Request) -> Response:
    """The API description as a page that loads no other resources."""
    page = render(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_POLICY})
