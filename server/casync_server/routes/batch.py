"""Many files and members in one answer."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from casync.limits import MAX_BATCH_REQUEST
from casync.wire.batch import TAR_TYPE, BatchRequest
from casync_server.deps import Reads, read_document
from casync_server.http.caching import NEVER
from casync_server.http.request_stats import request_stats
from casync_server.limits.rate_limit import address_of
from casync_server.openapi import binary, document_body, problems
from casync_server.reading.batch import plan_batch
from casync_server.reading.streaming import StreamedResponse

__all__ = ["router"]

router: Final = APIRouter(tags=["files"])


@router.post(
    "/v1/batch",
    summary="Many files and members as one tar",
    operation_id="getBatch",
    response_class=Response,
    responses={
        200: binary(TAR_TYPE, "The items in their order."),
        **problems(404, 413, 415, 500, 501),
    },
    openapi_extra=document_body("What shall be sent.", BatchRequest),
)
async def get_batch(request: Request, service: Reads) -> Response:
    """Files, files in folders and members of archives in the order in which they are listed.

    Damaged data is never sent: the answer is 500, or breaks off before its announced length.
    """
    wanted = await read_document(request, BatchRequest, MAX_BATCH_REQUEST)
    batch = await service.read(lambda: plan_batch(wanted, service.store, service.member_indexes))
    account = service.answer_memory.open(address_of(request.scope))
    return await StreamedResponse.begin(
        batch.read(account.piece_bytes, request_stats(request.scope)),
        pool=service.pool,
        account=account,
        media_type=TAR_TYPE,
        headers={"Cache-Control": NEVER, "Content-Length": str(batch.length)},
    )
