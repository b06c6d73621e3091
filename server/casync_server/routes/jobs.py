"""Jobs: makes, lists, stops, starts and removes downloads that the server runs."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, Response

from casync.limits import MAX_JOB_REQUEST_BYTES, MAX_LENGTH, PAGE_ITEMS
from casync.wire.documents import JSON_TYPE, encode_document
from casync.wire.job_plan import JobPlan
from casync.wire.job_request import JobObjects, JobRequest
from casync.wire.jobs import EVENTS_TYPE, FaultPage, JobItem, JobPage
from casync_server.deps import JobAccess, Reads, read_document
from casync_server.http.caching import NEVER, PAGE
from casync_server.jobs.event_stream import EventStream
from casync_server.openapi import document, document_body, problems, text
from casync_server.pages.jobs import JOBS_PAGE, JOBS_POLICY
from casync_server.routes.names import Limit

__all__ = ["router"]

router: Final = APIRouter(tags=["jobs"])

_ID: Final = "dnl-[0-9a-z]{9}"
_Job: TypeAlias = Annotated[str, Path(pattern=f"^{_ID}$", description="The id of a job.")]


@router.post(
    "/v1/jobs",
    summary="Make a job",
    operation_id="createJob",
    response_class=Response,
    responses={200: document("The job.", JobItem), **problems(413, 415, 501, 507)},
    openapi_extra=document_body("What it shall do.", JobRequest),
)
async def create_job(request: Request, jobs: JobAccess) -> Response:
    """Makes a job, or continues an unfinished one with the same objects and names."""
    async with jobs.slot(request):
        wanted = await read_document(request, JobRequest, MAX_JOB_REQUEST_BYTES)
        return _answer(await jobs.change(lambda: jobs.service.create(wanted)))


@router.post(
    "/v1/jobs/plan",
    summary="Plan a job",
    operation_id="planJob",
    response_class=Response,
    responses={
        200: document("What the job would do with its first objects.", JobPlan),
        **problems(404, 413, 415, 501, 502),
    },
    openapi_extra=document_body("What the job would do.", JobRequest),
)
async def plan_job(request: Request, jobs: JobAccess) -> Response:
    """Lists the source for some seconds, and makes no job."""
    async with jobs.slot(request):
        wanted = await read_document(request, JobRequest, MAX_JOB_REQUEST_BYTES)
        return _answer(await jobs.plan(lambda: jobs.service.plan(wanted)))


@router.post(
    "/v1/jobs/{job}/objects",
    summary="Add objects to the list of a job",
    operation_id="addJobObjects",
    response_class=Response,
    responses={200: document("The job.", JobItem), **problems(404, 413, 415, 422, 507)},
    openapi_extra=document_body("The next objects of its list.", JobObjects),
)
async def add_job_objects(request: Request, jobs: JobAccess, job: _Job) -> Response:
    """Takes a part of a list, in the place of the same part and of all behind it."""
    async with jobs.slot(request):
        part = await read_document(request, JobObjects, MAX_JOB_REQUEST_BYTES)
        return _answer(await jobs.change(lambda: jobs.service.add_objects(job, part)))


@router.get(
    "/v1/jobs",
    summary="Jobs",
    operation_id="listJobs",
    response_class=Response,
    responses={200: document("A page, the oldest job first.", JobPage), **problems(404, 422)},
)
async def list_jobs(
    jobs: JobAccess,
    after: Annotated[
        str, Query(pattern=f"^({_ID})?$", description="The last job of the previous page.")
    ] = "",
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """Lists all jobs of the namespace."""
    return _answer(await jobs.read(lambda: jobs.service.page(after, limit)))


@router.get(
    "/v1/jobs/{job}",
    summary="One job",
    operation_id="getJob",
    response_class=Response,
    responses={200: document("The job.", JobItem), **problems(404, 422)},
)
async def get_job(jobs: JobAccess, job: _Job) -> Response:
    """The job as of its last commit."""
    return _answer(await jobs.read(lambda: jobs.service.find(job)))


@router.get(
    "/v1/jobs/{job}/errors",
    summary="Objects of a job that failed",
    operation_id="listJobErrors",
    response_class=Response,
    responses={200: document("A page, ordered by index.", FaultPage), **problems(404, 422)},
)
async def list_job_errors(
    jobs: JobAccess,
    job: _Job,
    after: Annotated[
        int, Query(ge=-1, le=MAX_LENGTH, description="The last index of the previous page.")
    ] = -1,
    limit: Limit = PAGE_ITEMS,
) -> Response:
    """Lists what failed, and why."""
    return _answer(await jobs.read(lambda: jobs.service.faults(job, after, limit)))


@router.get(
    "/v1/jobs/{job}/events",
    summary="Events of a job",
    operation_id="followJob",
    response_class=Response,
    responses={
        200: text("An event `job` with a JobItem whenever the job has changed.", EVENTS_TYPE),
        **problems(404, 422),
    },
)
async def follow_job(service: Reads, jobs: JobAccess, job: _Job) -> Response:
    """Server-sent events until the job has ended."""
    return EventStream(
        lambda: jobs.read(lambda: jobs.service.find(job)),
        jobs.streams,
        lambda: service.draining,
    )


@router.post(
    "/v1/jobs/{job}/stop",
    summary="Stop a job",
    operation_id="stopJob",
    response_class=Response,
    responses={200: document("The job.", JobItem), **problems(404, 422, 507)},
)
async def stop_job(jobs: JobAccess, job: _Job) -> Response:
    """Aborts a job, or asks its runner to. A job that has ended stays as it is."""
    return _answer(await jobs.change(lambda: jobs.service.stop(job)))


@router.post(
    "/v1/jobs/{job}/start",
    summary="Continue a job",
    operation_id="startJob",
    response_class=Response,
    responses={200: document("The job.", JobItem), **problems(404, 422, 507)},
)
async def start_job(jobs: JobAccess, job: _Job) -> Response:
    """Lets an aborted or interrupted job go on where it was."""
    return _answer(await jobs.change(lambda: jobs.service.start(job)))


@router.delete(
    "/v1/jobs/{job}",
    summary="Remove a job",
    operation_id="removeJob",
    response_class=Response,
    responses={200: document("The job that was removed.", JobItem), **problems(404, 422, 507)},
)
async def remove_job(jobs: JobAccess, job: _Job) -> Response:
    """Removes a job that does not run. What it fetched stays."""
    return _answer(await jobs.change(lambda: jobs.service.remove(job)))


@router.head("/jobs", include_in_schema=False)
@router.get("/jobs", include_in_schema=False)
async def get_jobs_page() -> Response:
    """A page for browsers, which shows the jobs live."""
    headers = {"Content-Security-Policy": JOBS_POLICY, "Cache-Control": PAGE}
    return HTMLResponse(JOBS_PAGE, headers=headers)


def _answer(item: JobItem | JobPage | JobPlan | FaultPage) -> Response:
    headers = {"Cache-Control": NEVER}
    return Response(encode_document(item), media_type=JSON_TYPE, headers=headers)
