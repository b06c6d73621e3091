"""What a server did, counted for Prometheus, over all of its workers.

Each worker counts in files of a folder that they share; whoever is asked adds them up. What died
workers counted stays counted. Must not know what routes do.
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

from casync_server.access.access_log import LogEntry

if TYPE_CHECKING:
    from casync.store.lmdb.usage import StoreUsage

__all__ = ["METRICS_TYPE", "Measured", "Metrics", "StoreMetrics", "forget_dead_workers"]

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers count together. The supervisor sets it, since the library reads it early."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def forget_dead_workers() -> None:
    """Lets go of what workers that are gone were just doing."""
    folder = os.environ.get(_FOLDER)
    for path in Path(folder).glob("gauge_live*.db") if folder else ():
        pid = int(path.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


class Measured(Protocol):
    """A store that can say how much it holds without looking at every object."""

    def usage(self, *, objects: bool = True) -> StoreUsage:
        """Counts."""
        ...


class Metrics:
    """The metrics of one worker.

    Args:
        store: What is served, if it can be measured.
    """

    def __init__(self, store: Measured | None) -> None:
        registry = CollectorRegistry()
        self._store = store
        self._registry = registry
        self._requests = Counter(
            "casync_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "casync_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._bytes = Counter(
            "casync_sent_bytes", "Bytes of answers, without heads.", ["route"], registry=registry
        )
        self._objects = Counter(
            "casync_objects",
            "Objects that were asked for, by whether they were sent.",
            ["outcome"],
            registry=registry,
        )
        self._saved = Counter(
            "casync_delta_saved_bytes", "Bytes by which deltas were shorter.", registry=registry
        )
        self._running = Gauge(
            "casync_requests_running",
            "Requests that are being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )

        self.writes = Gauge(
            "casync_writes_queued",
            "Writes to the store that clients wait for: one at a time is under way.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def begin(self) -> None:
        """A request came."""
        self._running.inc()

    def end(self, entry: LogEntry, route: str) -> None:
        """It is over.

        Args:
            entry: How it went.
            route: The pattern that its path fits, or empty: names are not for metrics.
        """
        method = entry.method if entry.method in _METHODS else "other"  # anybody can make some up
        self._requests.labels(method, route, str(entry.status)).inc()
        self._seconds.labels(route).observe(entry.seconds)
        self._bytes.labels(route).inc(entry.bytes)
        if entry.stats.objects:
            self._objects.labels("sent").inc(entry.stats.objects)
        if entry.stats.absent:
            self._objects.labels("absent").inc(entry.stats.absent)
        if entry.stats.saved > 0:
            self._saved.inc(entry.stats.saved)
        self._running.dec()  # last: what no longer runs has been counted

    def render(self) -> bytes:
        """All metrics as Prometheus reads them, of all workers and of the store.

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
    """What one store holds, and nothing of what anybody asked: all that a namespace is shown.

    Args:
        store: The store.
    """

    def __init__(self, store: Measured) -> None:
        self._store = store

    def render(self) -> bytes:
        """Its figures as Prometheus reads them.

        Raises:
            DamagedStoreError: The store cannot be measured.
        """
        registry = CollectorRegistry()
        registry.register(_StoreFigures(self._store.usage(objects=False)))
        text: bytes = generate_latest(registry)
        return text


class _StoreFigures(Collector):
    """What a store holds, and what collections did there."""

    def __init__(self, usage: StoreUsage) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """Yields them."""
        usage = self._usage
        for name, text, value in (
            ("manifests", "Manifests that may be pulled.", usage.manifests),
            ("names", "Names.", usage.names),
            ("logical_bytes", "Content of all manifests, each by itself.", usage.logical),
            ("live_bytes", "Records of objects, each once.", usage.live),
            ("dedup_ratio", "Logical bytes for each live one.", _ratio(usage)),
            ("segment_bytes", "Segments, dead records included.", usage.used),
            ("free_bytes", "Pages of the data file that hold nothing.", usage.free),
            ("file_bytes", "The data file on its disk.", usage.file),
            ("quota_bytes", "Live bytes that it may have; 0 for no bound.", usage.quota),
            ("pushes", "Open pushes. What came after the oldest stays.", usage.pushes),
        ):
            yield GaugeMetricFamily(f"casync_store_{name}", text, value)
        done = usage.collections
        for name, text, value in (
            ("runs", "Collections that came to their end.", done.runs),
            ("seconds", "Seconds that they took.", done.seconds),
            ("objects", "Objects that they deleted.", done.objects),
            ("bytes", "Bytes of the records of these.", done.stored),
        ):
            yield CounterMetricFamily(f"casync_gc_{name}", text, value)
        last = "When the last one ended, in seconds since 1970; 0 for never."
        yield GaugeMetricFamily("casync_gc_last_success_timestamp_seconds", last, done.last)


def _ratio(usage: StoreUsage) -> float:
    return usage.logical / usage.live if usage.live else 0.0
