"""Members of archives: a listing for people and programs, and the index for clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from casync.access.archive import Archive
from casync.archives.detect import check_type
from casync.archives.member import Member, MemberKind
from casync.archives.writing.new_format import NewFormat
from casync.errors import NotFoundError, TimedOutError
from casync.limits import PAGE_ITEMS
from casync.wire.documents import JSON_TYPE, ContentItem, encode_document
from casync.wire.members import MemberItem, MemberPage, MemberWord
from casync_server.deps import Reads, Service
from casync_server.http.caching import FRESH, policy_for_ref
from casync_server.http.page import page_of
from casync_server.http.request_stats import request_stats
from casync_server.openapi import document, problems
from casync_server.reading.archive import archive_at_url
from casync_server.reading.content import tell_damage
from casync_server.routes.archives import get_archive
from casync_server.routes.manifests import Limit

__all__ = ["router"]

router: Final = APIRouter(tags=["archives"])

_WORDS: Final[dict[MemberKind, MemberWord]] = {
    MemberKind.FILE: "file",
    MemberKind.FOLDER: "folder",
    MemberKind.SYMLINK: "symlink",
    MemberKind.HARDLINK: "hardlink",
    MemberKind.OTHER: "other",
}
_Path = Annotated[
    str,
    Query(description="Where the archive is in the folder of the ref, percent-encoded bytes."),
]
_Format = Annotated[NewFormat | None, Query(alias="format", include_in_schema=False)]


@router.get(
    "/v1/archives/{ref:path}/members",
    summary="The members of an archive",
    operation_id="listMembers",
    response_class=Response,
    responses={
        200: document("A page, ordered by path.", MemberPage),
        **problems(404, 422, 500, 501),
    },
)
async def list_members(
    request: Request,
    ref: str,
    service: Reads,
    path: _Path = "",
    prefix: Annotated[
        str, Query(description="How the paths of members begin, percent-encoded bytes.")
    ] = "",
    after: Annotated[
        str, Query(description="The last `path` of the previous page, in the same encoding.")
    ] = "",
    limit: Limit = PAGE_ITEMS,
    every: Annotated[
        str | None, Query(alias="all", description="Return also members that a later one hides.")
    ] = None,
    after_offset: Annotated[
        int | None, Query(ge=0, description="With `all`: the `offset` of that last member.")
    ] = None,
    archmime: Annotated[
        str | None, Query(description="Refuse an archive that is not of this type.")
    ] = None,
    made: _Format = None,
) -> Response:
    """The members of the archive that a full hash, NAME or NAME@N points to, or of one below it.

    Of several members with the same path there is the last one; all with `?all`, oldest first.
    """
    if made is not None:  # `/members` is the end of a name
        return await get_archive(request, f"{ref}/members", service, made, prefix)
    wanted = _Wanted(unquote_to_bytes(prefix), unquote_to_bytes(after), every is not None)
    if wanted.every:
        wanted = wanted._replace(after_offset=after_offset)
    page = await service.read(
        lambda: _page(service, ref, unquote_to_bytes(path), wanted, limit, archmime)
    )
    request_stats(request.scope).objects += len(page.members)
    headers = {"Cache-Control": policy_for_ref(ref)}
    return Response(encode_document(page), media_type=JSON_TYPE, headers=headers)


@router.get(
    "/v1/archives/{ref:path}/index",
    summary="The index of an archive's members",
    operation_id="getMemberIndex",
    response_class=Response,
    responses={
        200: document("The content that the index is.", ContentItem),
        **problems(404, 422, 500, 501),
    },
)
async def get_index(
    request: Request,
    ref: str,
    service: Reads,
    path: _Path = "",
    prefix: Annotated[str, Query(include_in_schema=False)] = "",
    made: _Format = None,
) -> Response:
    """Makes the index if it is missing. Its nodes and chunks are objects like all others."""
    if made is not None:  # `/index` is the end of a name
        return await get_archive(request, f"{ref}/index", service, made, prefix)
    found = await service.read(lambda: _index(service, ref, unquote_to_bytes(path)))
    headers = {"Cache-Control": FRESH}  # a collection may have removed it
    return Response(encode_document(found), media_type=JSON_TYPE, headers=headers)


class _Wanted(NamedTuple):
    """Which members are on a page.

    Attributes:
        prefix: How their paths begin.
        after: The path of the last member of the page before.
        every: Whether members that a later one hides are wanted too.
        after_offset: The offset of that last member; None to pass over all with its path.
    """

    prefix: bytes
    after: bytes
    every: bool
    after_offset: int | None = None

    def of(self, archive: Archive) -> Iterator[Member]:
        """The members from there on."""
        if self.after_offset is not None and self.after.startswith(self.prefix):
            for one in archive.members(self.after):
                if one.path != self.after:
                    break
                if one.offset > self.after_offset:
                    yield one
        for one in archive.members(self.prefix, after=self.after):
            if self.every or not one.shadowed:
                yield one


def _page(
    service: Service, ref: str, path: bytes, wanted: _Wanted, limit: int, archmime: str | None
) -> MemberPage:
    archive, _ = archive_at_url(service.store, ref, path, service.member_indexes)
    if archmime is not None:
        check_type(archive.kind, archmime)
    with tell_damage(f"below {ref}"):
        items, more = page_of(map(_item, wanted.of(archive)), limit, _text_bytes)
    return MemberPage(archive.kind.format, archive.kind.layer, items, more)


def _index(service: Service, ref: str, path: bytes) -> ContentItem:
    try:
        _, place = archive_at_url(service.store, ref, path, service.member_indexes)
    except TimedOutError as error:  # a retry would take as long
        raise NotFoundError(
            f"this server makes no index of the archive: {error.message}"
        ) from error
    content = service.member_indexes.stored(place)
    if content is None:
        raise NotFoundError("this server cannot keep indexes of archives")
    return ContentItem(content.level, content.id.hex(), content.length)


def _item(member: Member) -> MemberItem:
    return MemberItem(
        path=quote_from_bytes(member.path),
        kind=_WORDS[member.kind],
        length=member.length,
        stored=member.stored,
        offset=member.offset,
        mode=member.mode,
        mtime=member.mtime,
        target=quote_from_bytes(member.target) if member.target else None,
        shadowed=member.shadowed,
    )


def _text_bytes(item: MemberItem) -> int:
    return len(item.path) + len(item.target or "")
