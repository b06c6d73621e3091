"""Forecasts a pull: computes what it would fetch, without fetching chunks.

Manifest and nodes are fetched, because the plan depends on them. Servers report the sizes of chunks
as they would travel, compressed, so the figure is exact. No deltas are made, so a pull that
requests deltas fetches less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from casync.access.compare import holds
from casync.access.endpoints import Endpoints
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.access.supply import Supply
from casync.fs.seed import SeedFile
from casync.fs.target.part import part_name
from casync.fs.target.place import TargetPlace, allocated_bytes, check_space
from casync.ids import ChunkId, ManifestId, chunk_id
from casync.ops.pull.file import PullOptions, WantedFile, supplies_for
from casync.ops.pull.in_place import offsets_served
from casync.planning.windows import FirstPlaces, Place, Window

__all__ = ["Forecast", "PlanTotals", "forecast"]


class Forecast(NamedTuple):
    """The forecast of a pull.

    Attributes:
        manifest: The manifest.
        length: Plain bytes of its content.
        sources: Plain bytes by source.
        objects: Chunks to fetch.
        fetch: Bytes to fetch, as they travel, without deltas.
        received: Bytes received for this forecast: the manifest and its nodes.
        missing: Plain bytes that no source has.
        seeds: The files considered as seeds, and what became of each.
    """

    manifest: ManifestId
    length: int
    sources: dict[str, int]
    objects: int
    fetch: int
    received: int
    missing: int
    seeds: list[tuple[Path, str]]


def forecast(
    wanted: WantedFile, endpoints: Endpoints, options: PullOptions, progress: Progress = SILENT
) -> Forecast:
    """Computes what `pull` with the same arguments would fetch.

    Raises:
        CasyncError: As `pull`.
    """
    outline = wanted.outline
    place = wanted.target if isinstance(wanted.target, TargetPlace) else None
    totals = PlanTotals(endpoints.traffic.received)
    writes = place is not None
    if place is not None:
        if place.existing and holds(place, outline, progress):
            if not options.cache:
                totals.sources["in place"] = outline.content.length
                return totals.result(outline, [])
            writes = False
            place = place._replace(in_place=False)  # a seed for the store
        else:
            part = place.path.with_name(part_name(place.path.name))
            begun = place.path if place.in_place else part
            check_space(place, outline.solid_bytes() - allocated_bytes(begun))
            if place.in_place:
                totals.served = offsets_served(outline, place.path, endpoints, progress)
            else:
                totals.part = SeedFile(part) if part.exists() else None
    with closing(totals), supplies_for(outline, place, endpoints, options, progress) as supplies:
        totals.count(outline.windows(distinct=not writes), outline.length, supplies)
        looked = [seen for supply in supplies for seen in supply.looked]
    return totals.result(outline, looked)


class PlanTotals:
    """The totals of a forecast.

    Args:
        received: Bytes that servers sent for it.
    """

    def __init__(self, received: int) -> None:
        self.received = received
        self.sources: Counter[str] = Counter()
        self.served: Collection[int] = ()
        self.part: SeedFile | None = None
        self.objects = self.fetch = self.missing = 0

    def count(self, stretch: Iterable[Window], length: int, supplies: Sequence[Supply]) -> None:
        """Adds the windows of a content of `length` bytes, in the order of a pull."""
        first_places = FirstPlaces()
        for window in stretch:
            self.sources["zero"] += sum(length for _, length in window.zeros)
            fresh, repeats = first_places.split(window)
            fresh = [place for place in fresh if not self._is_there(place)]
            for place, _ in repeats:
                self._is_there(place)
            self._supply({place.id: place.length for place in fresh}, supplies)
        rest = length - self.sources.total() - self.missing
        self.sources["repeat"] += rest

    def close(self) -> None:
        """Closes the part file."""
        if self.part is not None:
            self.part.close()

    def _is_there(self, place: Place) -> bool:
        if place.offset in self.served:
            self.sources["in place"] += place.length
            return True
        if self.part and chunk_id(self.part.read(place.offset, place.length)) == place.id:
            self.sources["part file"] += place.length
            return True
        return False

    def _supply(self, wanted: dict[ChunkId, int], supplies: Sequence[Supply]) -> None:
        for supply in supplies:
            found = supply.plan(wanted) if wanted else {}
            for ident, travelling in found.items():
                self.sources[supply.label] += wanted.pop(ident)
                self.fetch += travelling
                self.objects += travelling > 0
        self.missing += sum(wanted.values())

    def result(self, outline: Outline, looked: list[tuple[Path, str]]) -> Forecast:
        """The forecast with these totals."""
        return Forecast(
            manifest=outline.id,
            length=outline.content.length,
            sources={label: count for label, count in self.sources.items() if count},
            objects=self.objects,
            fetch=self.fetch,
            received=self.received,
            missing=self.missing,
            seeds=looked,
        )
