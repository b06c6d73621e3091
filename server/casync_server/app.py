"""The application: routes, error handlers and middleware, wired to a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from casync.access.member_indexes import StoredIndexes, indexes_of
from casync.store.base import ManifestSource
from casync.store.bucket.follower import HeadFollower
from casync.store.lmdb.store import LmdbStore
from casync.store.lmdb.tokens import known_tokens
from casync.store.writable import WritableStore
from casync_server import problems
from casync_server.access.access_log import AccessLog
from casync_server.access.audit import AuditLog
from casync_server.access.auth import CurrentTokens, Gatekeeper
from casync_server.access.guard import Guard
from casync_server.access.log_sink import LogSink, notes, to_stderr
from casync_server.access.metrics import Metrics
from casync_server.damaged_store import DamagedStore
from casync_server.deps import Service
from casync_server.faults import Faults
from casync_server.jobs.event_stream import EventStreams
from casync_server.jobs.job_service import JobService
from casync_server.jobs.served_jobs import ServedJobs
from casync_server.jobs.source_rules import SourceRules
from casync_server.limits.answer_memory import AnswerMemory, CountedAnswers
from casync_server.limits.delta_cpu import DeltaCpu
from casync_server.limits.loops import LoopGuard
from casync_server.limits.rate_limit import RateLimiter, address_of, token_of
from casync_server.limits.request_work import WorkOfRequest
from casync_server.namespaces import Namespaces
from casync_server.openapi import describe
from casync_server.options import LogFormat
from casync_server.pushes.proving import Proofs
from casync_server.pushes.receive_objects import ObjectReceiver
from casync_server.pushes.writing import Writing
from casync_server.reading.checked_source import CheckedSource
from casync_server.reading.read_pool import ReadPool
from casync_server.routes import archive_members as routes_members
from casync_server.routes import archives as routes_archives
from casync_server.routes import batch as routes_batch
from casync_server.routes import files as routes_files
from casync_server.routes import jobs as routes_jobs
from casync_server.routes import manifests as routes_manifests
from casync_server.routes import names as routes_names
from casync_server.routes import objects as routes_objects
from casync_server.routes import operations as routes_operations
from casync_server.routes import push as routes_push
from casync_server.routes import trash as routes_trash
from casync_server.routes import trees as routes_trees
from casync_server.settings import ServerSettings
from casync_server.stores import FolderStores, ServedStores

__all__ = ["create_app"]

_LONG_LISTS: Final = 2
"""Requests with long lists of objects that a worker reads at once: each takes some 100 MB."""

_PLANS: Final = 2
"""Plans of jobs that a worker makes at once: each lists a source for some seconds."""


def create_app(
    store: ManifestSource,
    settings: ServerSettings,
    *,
    store_id: Callable[[], str] = str,
    cache_id: str = "",
    writable: WritableStore | None = None,
    sink: LogSink = to_stderr,
    audit: AuditLog | None = None,
    local: LmdbStore | DamagedStore | None = None,
    follower: HeadFollower | None = None,
    tokens: Path | None = None,
    stores: ServedStores | None = None,
    faults: Faults | None = None,
    jobs: SourceRules | None = None,
    any_host: bool = False,
    log_format: LogFormat = "text",
    quiet: bool = False,
    debug: bool = False,
) -> FastAPI:
    """Builds the application that serves `store`.

    Args:
        store: Read from several threads at once. The caller closes it.
        settings: Limits.
        store_id: Reads the store's UUID, which `/v1/info` shows.
        cache_id: What tells a cache from others; empty if `store` has no upstream server.
        writable: The same store; None if the server only reads.
        sink: Writes lines of the access log.
        audit: Logs the requests that change something.
        local: The store with tokens and usage, if it is not `store` itself.
        follower: Keeps the store up to date, which is in a bucket.
        tokens: Folder of the store with the tokens for a store in a bucket; None for no tokens.
        stores: The stores of the server; None for `local` with its namespaces.
        faults: Refuses namespaces on which workers died.
        jobs: Which sources clients may name for jobs; None if the server runs none.
        any_host: Accept every Host: the server was put on a public address.
        log_format: Format of the access log.
        quiet: Log only failures.
        debug: Log tracebacks of unexpected errors.
    """
    if local is None and isinstance(store, LmdbStore):
        local = store
    metrics = Metrics(local)
    pool = ReadPool(settings.threads)
    writers = ReadPool(settings.write_threads, metrics.writes)
    plans = ReadPool(_PLANS)
    service = Service(
        store=CheckedSource(store),
        store_id=store_id,
        settings=settings,
        pool=pool,
        answer_memory=AnswerMemory(settings.stream_bytes, settings.piece_bytes),
        delta_cpu=DeltaCpu(settings),
        metrics=metrics,
        writing=None if writable is None else _writing(writable, settings, writers),
        follower=follower,
    )
    if jobs is not None and local is not None:
        service.jobs = ServedJobs(
            JobService(
                lambda: _whole(local), "", jobs, settings.job_connections, settings.disk_spare
            ),
            EventStreams(settings.event_streams),
            pool,
            writers,
            asyncio.Semaphore(_LONG_LISTS),
            settings.push_wait,
            asyncio.Semaphore(_PLANS),
            plans,
        )

    namespaces = None
    if local is None:
        service.member_indexes = indexes_of(store)
    else:
        if isinstance(local, LmdbStore):
            kept = StoredIndexes(local)
            service.member_indexes = indexes_of(store, kept) if cache_id else kept
        if follower is None:
            tokens = local.path
        stores = stores or FolderStores(local.path)
        namespaces = Namespaces(stores, service, faults or Faults(stores))
        service.of_namespace = namespaces.service
        service.stores = namespaces.stores

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        pool.close()
        writers.close()
        plans.close()
        if namespaces is not None:
            namespaces.close()

    name, _, version = routes_operations.program().partition(" ")
    app = FastAPI(
        title=name,
        version=version or "0",
        summary="Replicates large, changing data and moves only the chunks the receiver lacks.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    problems.install(app)
    for routes in (
        routes_objects,
        routes_manifests,
        routes_names,
        routes_trash,
        routes_push,
        routes_files,
        routes_trees,
        routes_members,  # first: the path of the next matches these as well
        routes_archives,
        routes_batch,
        routes_jobs,
        routes_operations,
    ):
        app.include_router(routes.router)
    description = describe(app)
    app.openapi = lambda: description  # type: ignore[method-assign]
    # Added first, so innermost: it knows the token.
    app.add_middleware(CountedAnswers, memory=service.answer_memory)
    app.add_middleware(WorkOfRequest, seconds=settings.walk_cpu)
    if cache_id:
        app.add_middleware(LoopGuard, own=cache_id)
    current = None
    if tokens is not None:
        known = partial(known_tokens, tokens)
        current = CurrentTokens(lambda: service.read(known))
        app.add_middleware(RateLimiter, who=token_of, settings=settings)
        app.add_middleware(Gatekeeper, tokens=current)
    app.add_middleware(RateLimiter, who=address_of, settings=settings)
    app.add_middleware(
        Guard, any_host=any_host, tokens=current, hosts=settings.hosts, say=notes(sink, quiet=quiet)
    )
    # Added last, so outermost: it sees every answer.
    app.add_middleware(
        AccessLog,
        form=log_format,
        sink=sink,
        quiet=quiet,
        debug=debug,
        watchers=[metrics] if audit is None else [metrics, audit],
    )
    return app


def _whole(store: LmdbStore | DamagedStore) -> LmdbStore:
    """The store; DamagedStoreError if it cannot be opened."""
    if isinstance(store, DamagedStore):
        store.jobs  # noqa: B018 - raises the error
        raise AssertionError("a damaged store has no jobs")
    return store


def _writing(store: WritableStore, settings: ServerSettings, pool: ReadPool) -> Writing:
    return Writing(
        store=store,
        pool=pool,
        receiver=ObjectReceiver(settings, pool),
        proofs=Proofs(store, settings.prove_seconds),
        spare=settings.disk_spare,
    )
