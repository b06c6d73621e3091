"""Forecasts a pull: computes what it would fetch, without fetching chunks.

Manifest and nodes are fetched, because the plan depends on them. Servers report the sizes of chunks
as they would travel, compressed, so the figure is exact. No deltas are made, so a pull that
requests deltas fetches less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from casync.access.endpoints import Endpoints
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.access.supply import Supply
from casync.fs.seed import SeedFile
from casync.fs.target.part import part_name
from casync.fs.target.place import TargetPlace, allocated_bytes
from casync.ids import ChunkId, ManifestId, chunk_id
from casync.ops.pull.in_place import MovedRanges
from casync.ops.pull.room import check_room
from casync.ops.pull.wanted import PullOptions, PullPlan, WantedFile, is_up_to_date
from casync.planning.portions import Portion, portions
from casync.planning.windows import Place

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
        if is_up_to_date(wanted, place, endpoints, options, progress):
            if not options.cache:
                totals.sources["in place"] = outline.length
                return totals.result(outline, [])
            writes = False
            place = place._replace(in_place=False)  # a seed for the store
        else:
            part = place.path.with_name(part_name(place.path.name))
            begun = place.path if place.in_place else part
            planned_here = partial(PullPlan, wanted, place, endpoints, options, progress)
            check_room(wanted, place, allocated_bytes(begun), planned_here)
            if not place.in_place and part.exists():
                totals.part = SeedFile(part)
    with closing(totals), PullPlan(wanted, place, endpoints, options, progress) as planned:
        if planned.target is not None:
            totals.target = planned.target
            totals.served = planned.moves().served()
        stretches = planned.stretches()
        cut = portions(stretches, planned.contents(), trusted=planned.target, repeats=writes)
        totals.count(cut, outline.length, planned.supplies)
        looked = planned.seeds.looked
    return totals.result(outline, looked)


class PlanTotals:
    """The totals of a forecast.

    Args:
        received: Bytes that servers sent for it.

    Attributes:
        target: The number of the seed that is overwritten in place; None if none is.
        served: What is moved there.
        part: What an interrupted pull has left.
    """

    def __init__(self, received: int) -> None:
        self.received = received
        self.sources: Counter[str] = Counter()
        self.target: int | None = None
        self.served = MovedRanges()
        self.part: SeedFile | None = None
        self.objects = self.fetch = self.missing = 0

    def count(self, cut: Iterable[Portion], length: int, supplies: Sequence[Supply]) -> None:
        """Adds the portions of a content of `length` bytes, in the order of a pull."""
        for portion in cut:
            zeros = sum(length for _, length in portion.zeros)
            self.sources["zero"] += zeros + portion.kept_zeros
            self.sources["in place"] += portion.kept
            wanted = list(portion.wanted)
            for piece in portion.copies:
                if piece.seed != self.target:
                    places = [place for place in piece.places if not self._is_there(place)]
                    self.sources["seed"] += sum(place.length for place in places)
                elif self.served.cover(piece.offset, piece.offset + piece.length):
                    self.sources["in place"] += piece.length
                else:
                    wanted += piece.places
            fresh = {place.id: place for place in wanted if not self._is_there(place)}
            for piece in portion.repeats:
                for place in piece.places:
                    self._is_there(place)
            self.supply({place.id: place.length for place in fresh.values()}, supplies)
        rest = length - self.sources.total() - self.missing
        self.sources["repeat"] += rest

    def close(self) -> None:
        """Closes the part file."""
        if self.part is not None:
            self.part.close()

    def _is_there(self, place: Place) -> bool:
        if self.part and chunk_id(self.part.read(place.offset, place.length)) == place.id:
            self.sources["part file"] += place.length
            return True
        return False

    def supply(self, wanted: dict[ChunkId, int], supplies: Sequence[Supply]) -> None:
        """Adds chunks that only supplies have. Empties `wanted` but for what none has."""
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
