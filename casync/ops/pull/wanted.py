"""What a pull of a file is to do, and its plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Self

from casync.access.compare import holds
from casync.access.endpoints import Endpoints
from casync.access.outline import ObjectLoader, Outline, load_outline
from casync.access.progress import Progress
from casync.access.supply import StoreSupply, Supply
from casync.errors import DamagedObjectError, NoObjectError
from casync.fs.paths import StrPath, as_path
from casync.fs.target.place import TargetPlace
from casync.ids import Kind, NodeId
from casync.limits import MAX_BATCH_IDS
from casync.objects.leaves import LeafCursor
from casync.ops.pull.find_seeds import collect_seeds
from casync.ops.pull.in_place import Moves
from casync.ops.pull.seeds import Seeds, known_outline
from casync.ops.pull.server_supply import DeltaChoice, ServerSupply
from casync.planning.node_match import NodeMatcher, Unmatched
from casync.planning.plan import PlanInput, plan
from casync.planning.portions import Contents
from casync.planning.stretches import Stretch
from casync.store.base import ManifestState

__all__ = ["PullOptions", "PullPlan", "WantedFile", "is_up_to_date"]

_KEPT_STRETCHES: Final = 1 << 16
"""A plan with more stretches, some 8 MiB, is worked out again when it is needed again."""


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull.

    Attributes:
        seeds: Further files, folders and devices to use as seeds.
        in_place: Overwrite the target where it differs, instead of replacing it.
        cache: Also store all chunks.
        expect_sha256: The expected SHA-256 of the content.
        delta: Whether to request deltas against old versions.
        connections: Portions that are fetched at once.
        reread: Also hash what stays in place in a file that has not changed since it was last seen.
    """

    seeds: Sequence[StrPath] = ()
    in_place: bool = False
    cache: bool = False
    expect_sha256: bytes | None = None
    delta: DeltaChoice = "auto"
    connections: int = 4
    reread: bool = False

    @property
    def seed_paths(self) -> list[Path]:
        """The paths of `seeds`."""
        return [as_path(seed) for seed in self.seeds]


class WantedFile(NamedTuple):
    """A file to pull.

    Attributes:
        outline: Its outline.
        target: A file or block device, a stream, or None to pull only into the store.
        since: Start of the command, on `time.monotonic`.
        loader: Fetches the nodes of the outline.
    """

    outline: Outline
    target: TargetPlace | BinaryIO | None
    since: float
    loader: ObjectLoader


class PullPlan:
    """Where the bytes of one content come from. A context manager, which owns the seeds.

    Args:
        wanted: The content.
        target: Where it goes, if that is a file.
        endpoints: Stores and servers.
        options: Seeds, and the choice of deltas.
        progress: Receives a phase for each seed that must be read.

    Attributes:
        seeds: The seeds.
        target: The number of the seed that is overwritten in place; None if none is.
        supplies: The sources of what seeds lack, the cheapest first.
    """

    def __init__(
        self,
        wanted: WantedFile,
        target: TargetPlace | None,
        endpoints: Endpoints,
        options: PullOptions,
        progress: Progress,
    ) -> None:
        self._outline = outline = wanted.outline
        self._store = wanted.loader.store
        row = endpoints.memory.manifest(outline.id)
        in_place = target is not None and target.in_place
        if row is not None and row.state is ManifestState.FULL and not in_place:
            # The store has all chunks; servers replace damaged ones.
            self.seeds = Seeds(endpoints.store)
        else:
            self.seeds = collect_seeds(
                outline.params, endpoints, place=target, named=options.seed_paths, progress=progress
            )
        self._kept: list[Stretch] | None = None
        self.target = self.seeds.target if in_place else None
        self.supplies: list[Supply] = [StoreSupply(store) for store in endpoints.local]
        if endpoints.servers:
            self.supplies.append(ServerSupply(endpoints.servers, self.seeds, options.delta))

    def stretches(self, *, repeats: bool = True) -> Iterator[Stretch]:
        """The plan. Its beginning is worked out at once, with the phases of reading seeds.

        Args:
            repeats: Whether the target can be read back.

        Raises:
            CasyncError: A node is missing or malformed.
        """
        if self._kept is not None:
            return iter(self._kept)
        outline = self._outline
        many = 1  # twice as many each time: looking costs as much as all seeds before
        while (unknown := self.seeds.unknown(many)) and self._lacks_nodes():
            self.seeds.learn(unknown)
            many *= 2
        found = plan(
            PlanInput(
                contents=lambda: [(0, outline.content)],
                fetch=outline.nodes,
                read=outline.encoded,
                params=outline.params,
                trees=self.seeds.trees,
                lists=self.seeds.lists,
                target=self.target,
                repeats=repeats,
            )
        )
        kept = self._keep(found) if repeats else found
        begun = list(islice(kept, 1))
        return chain(begun, kept)

    def _lacks_nodes(self) -> bool:
        """Whether a node of the content is neither in the store nor in a seed that is known."""
        outline = self._outline
        here = Outline(outline.id, outline.manifest, self._store)
        size = outline.params.max_size
        matcher = NodeMatcher(self.seeds.trees, here.nodes, size, target=None, repeats=True)
        try:
            items = matcher.match([(0, outline.content)])
            rest = (item for item in items if isinstance(item, Unmatched) and item.level)
            while ids := [NodeId(item.record.id) for item in islice(rest, MAX_BATCH_IDS)]:
                if None in self._store.stat(Kind.NODE, ids):
                    return True
        except (NoObjectError, DamagedObjectError):
            return True
        return False

    def _keep(self, stretches: Iterator[Stretch]) -> Iterator[Stretch]:
        """Passes stretches on, and keeps them if they are few."""
        kept: list[Stretch] = []
        for stretch in stretches:
            if len(kept) <= _KEPT_STRETCHES:
                kept.append(stretch)
            yield stretch
        if len(kept) <= _KEPT_STRETCHES:
            self._kept = kept

    def moves(self) -> Moves:
        """What moves inside the target that is overwritten in place.

        Raises:
            CasyncError: A node is missing or malformed.
        """
        outline = self._outline
        chunks = LeafCursor(outline.content, outline.node, outline.load).chunks
        return Moves(self.stretches(), self.target, self.contents(), chunks)

    def contents(self) -> Contents:
        """Lists the chunks of the content in order."""
        outline = self._outline
        contents = Contents(outline.node, outline.params.max_size, outline.load)
        if outline.length:
            contents.add(0, outline.content)
        return contents

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.seeds.close()


def is_up_to_date(
    wanted: WantedFile,
    place: TargetPlace,
    endpoints: Endpoints,
    options: PullOptions,
    progress: Progress,
) -> bool:
    """Whether a target has the content already.

    It is compared chunk by chunk, unless the store remembers the file in exactly this state.

    Raises:
        CasyncError: The nodes of the content cannot be fetched.
    """
    outline = wanted.outline
    if place.existing is None:
        return False
    row = endpoints.memory.recall(bytes(place.path))
    if row is not None and row.identity == place.existing:
        known = known_outline(endpoints.memory, row.manifest)
        if row.manifest == outline.id and known and row.settled and not options.reread:
            return True
        if row.manifest != outline.id and known and known.params == outline.params:
            return False
    if place.length < outline.length if place.is_device else place.length != outline.length:
        return False
    load_outline(outline, wanted.loader)
    return holds(place, outline, progress)
