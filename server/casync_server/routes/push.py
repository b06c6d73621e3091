"""Pushes: opens one, receives objects, and publishes the manifest above them."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from casync.errors import NoNameError
from casync.ids import parse_manifest_id
from casync.store.push import SILENCE
from casync.wire.documents import JSON_TYPE, ManifestItem, encode_document
from casync.wire.edits import HeardItem, ProvingItem, PushItem, PushList, TakenItem
from casync.wire.uploads import MAX_UPLOAD_BYTES, OBJECTS_TYPE
from casync_server.deps import Push, PushIfAny, PushPath, Reads, Writes, check_type, parse_push
from casync_server.http.caching import NEVER
from casync_server.http.request_stats import request_stats
from casync_server.openapi import binary_body, document, problems

__all__ = ["proving_response", "router"]

router: Final = APIRouter(tags=["push"])


@router.post(
    "/v1/pushes",
    summary="Open a push",
    operation_id="openPush",
    response_class=Response,
    responses={200: document("Its id.", PushItem), **problems(507)},
)
async def open_push(writing: Writes) -> Response:
    """Opens a push. Objects that it sends or finds in the store are kept while it is active."""
    push = await writing.run(writing.store.pushes.begin)
    return _answer(encode_document(PushItem(push.hex(), SILENCE)))


@router.get(
    "/v1/pushes",
    summary="Open pushes",
    operation_id="listPushes",
    response_class=Response,
    responses={200: document("The one silent for longest first.", PushList)},
)
async def list_pushes(writing: Writes) -> Response:
    """Lists the pushes for which objects are kept."""
    pushes = await writing.run(writing.store.pushes.open)
    return _answer(encode_document(PushList([HeardItem(p.id.hex(), p.heard) for p in pushes])))


@router.delete(
    "/v1/pushes/{push}",
    summary="End a push",
    operation_id="endPush",
    response_class=Response,
    responses={200: document("It has ended.", PushItem), **problems(422, 507)},
)
async def end_push(writing: Writes, push: PushPath) -> Response:
    """Ends a push without publishing, whether it is open or not. Its objects are collected."""
    await writing.run(lambda: writing.store.pushes.end(parse_push(push)))
    return _answer(encode_document(PushItem(push, 0)))


@router.post(
    "/v1/objects",
    summary="Send objects",
    operation_id="sendObjects",
    response_class=Response,
    responses={
        200: document("How many were stored, known, or refused.", TakenItem),
        **problems(404, 413, 415, 507),
    },
    openapi_extra=binary_body(OBJECTS_TYPE, "Objects of any kind.", MAX_UPLOAD_BYTES),
)
async def send_objects(request: Request, writing: Writes, push: Push) -> Response:
    """Stores objects whose bytes hash to their ids. They are durable when the answer is sent.

    If the body breaks off, objects before that point may be stored.
    """
    check_type(request, OBJECTS_TYPE)
    ident = parse_push(push)
    await writing.run(lambda: writing.check_room(ident))
    taken = await writing.receiver.take(request, writing.keep(ident))
    stats = request_stats(request.scope)
    stats.objects += taken.taken
    if taken.refused:
        stats.note = (
            f"objects refused because their bytes do not match their ids: {len(taken.refused)}"
        )
    return _answer(encode_document(taken))


@router.put(
    "/v1/manifests/{ref}",
    summary="Publish a manifest",
    operation_id="publishManifest",
    response_class=Response,
    responses={
        200: document("The manifest is listed and served now.", ManifestItem),
        202: document("The manifest is still being checked; repeat the request.", ProvingItem),
        **problems(404, 409, 507),
    },
)
async def publish_manifest(
    ref: str, service: Reads, writing: Writes, push: PushIfAny = ""
) -> Response:
    """Makes a manifest full, if all objects below it are in the store. Ends the push."""
    ident = parse_manifest_id(ref)
    done = await writing.run(lambda: writing.publish(parse_push(push), ident))
    if isinstance(done, int):
        return proving_response(done)
    row = await service.read(lambda: writing.store.manifest(ident))
    if row is None:
        raise NoNameError(f"manifest {ref} was removed meanwhile")
    return _answer(encode_document(ManifestItem(ref, row.length, row.created)))


def proving_response(checked: int) -> Response:
    """Asks the client to repeat its request; `checked` objects were checked so far."""
    return _answer(encode_document(ProvingItem(checked)), status=202)


def _answer(data: bytes, *, status: int = 200) -> Response:
    headers = {"Cache-Control": NEVER}
    return Response(data, status_code=status, media_type=JSON_TYPE, headers=headers)
