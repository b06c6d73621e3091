"""Metrics of a server for Prometheus, summed over its workers.

Each worker counts in files of a shared folder; the worker that is scraped adds them up. Counts of
dead workers are kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from casync_server.access.log_entry import LogEntry

if TYPE_CHECKING:
    from casync.store.lmdb.usage import StoreUsage

__all__ = ["METRICS_TYPE", "Measured", "Metrics", "StoreMetrics", "forget_dead_workers"]

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The shared folder. The supervisor sets it, because the library reads it when it is imported."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def forget_dead_workers() -> None:
    """Removes the gauges of workers that are gone."""
    folder = os.environ.get(_FOLDER)
    for path in Path(folder).glob("gauge_live*.db") if folder else ():
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
        except PermissionError:  # another user's: the number is in use again
            continue


class Measured(Protocol):
    """A store that knows its usage without a scan of all objects."""

    def usage(self, *, objects: bool = True) -> StoreUsage:
        """The usage."""
        ...


class Metrics:
    """The metrics of one worker.

    Args:
        store: The served store; None if it cannot be measured.
    """

    def __init__(self, store: Measured | None) -> None:
        registry = CollectorRegistry()
        self._store = store
        self._registry = registry
        self._requests = Counter(
            "casync_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "casync_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._bytes = Counter(
            "casync_sent_bytes", "Bytes of answers, without heads.", ["route"], registry=registry
        )
        self._objects = Counter(
            "casync_objects",
            "Objects requested, by outcome: sent or absent.",
            ["outcome"],
            registry=registry,
        )
        self._saved = Counter(
            "casync_delta_saved_bytes", "Bytes saved by deltas.", registry=registry
        )
        self._running = Gauge(
            "casync_requests_running",
            "Requests in progress.",
            registry=registry,
            multiprocess_mode="livesum",
        )

        self.writes = Gauge(
            "casync_writes_queued",
            "Writes to the store, waiting or in progress.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def begin(self) -> None:
        """Counts a request that started."""
        self._running.inc()

    def end(self, entry: LogEntry, route: str) -> None:
        """Counts a request that ended.

        Args:
            entry: The request.
            route: The path pattern that it matched, or empty. Paths would be too many labels.
        """
        method = entry.method if entry.method in _METHODS else "other"  # clients may invent methods
        self._requests.labels(method, route, str(entry.status)).inc()
        self._seconds.labels(route).observe(entry.seconds)
        self._bytes.labels(route).inc(entry.bytes)
        if entry.stats.objects:
            self._objects.labels("sent").inc(entry.stats.objects)
        if entry.stats.absent:
            self._objects.labels("absent").inc(entry.stats.absent)
        if entry.stats.saved > 0:
            self._saved.inc(entry.stats.saved)
        self._running.dec()  # last: a request that is not running is counted

    def render(self) -> bytes:
        """The metrics of all workers and of the store, in Prometheus' text format.

        Raises:
            DamagedStoreError: The store cannot be measured.
        """
        registry = self._registry
        if _FOLDER in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text: bytes = generate_latest(registry)
        if self._store is not None:
            text += StoreMetrics(self._store).render()
        return text


class StoreMetrics:
    """The metrics of one store, without requests: all that the admin of a namespace may see.

    Args:
        store: The store.
    """

    def __init__(self, store: Measured) -> None:
        self._store = store

    def render(self) -> bytes:
        """The store's metrics in Prometheus' text format.

        Raises:
            DamagedStoreError: The store cannot be measured.
        """
        registry = CollectorRegistry()
        registry.register(_StoreFigures(self._store.usage(objects=False)))
        text: bytes = generate_latest(registry)
        return text


class _StoreFigures(Collector):
    """Usage of a store, and totals of its garbage collections."""

    def __init__(self, usage: StoreUsage) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics."""
        usage = self._usage
        for name, text, value in (
            ("manifests", "Manifests that can be pulled.", usage.manifests),
            ("names", "Names.", usage.names),
            ("logical_bytes", "Bytes of content, not deduplicated.", usage.logical),
            ("live_bytes", "Bytes of live object records.", usage.live),
            ("dedup_ratio", "Logical bytes per live byte.", _ratio(usage)),
            ("segment_bytes", "Bytes of segments, dead records included.", usage.used),
            ("free_bytes", "Bytes of free pages in the data file.", usage.free),
            ("file_bytes", "Bytes that the data file takes on its disk.", usage.file),
            ("quota_bytes", "Limit of live bytes; 0 means no limit.", usage.quota),
            ("pushes", "Open pushes.", usage.pushes),
        ):
            yield GaugeMetricFamily(f"casync_store_{name}", text, value)
        done = usage.collections
        for name, text, value in (
            ("runs", "Garbage collections that finished.", done.runs),
            ("seconds", "Seconds of garbage collection.", done.seconds),
            ("objects", "Objects deleted by garbage collection.", done.objects),
            ("bytes", "Bytes of object records deleted by garbage collection.", done.stored),
        ):
            yield CounterMetricFamily(f"casync_gc_{name}", text, value)
        last = "Unix time of the last finished collection; 0 for never."
        yield GaugeMetricFamily("casync_gc_last_success_timestamp_seconds", last, done.last)


def _ratio(usage: StoreUsage) -> float:
    return usage.logical / usage.live if usage.live else 0.0
