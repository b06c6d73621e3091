"""A dataset of PyTorch over archives: each shard goes to one worker of one rank.

It opens nothing before the first item, so that workers may be forked, spawned or made by a fork
server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from casync.training.members import members
from casync.training.process_source import ProcessSource

__all__ = ["MemberDataset"]


class MemberDataset(IterableDataset):  # type: ignore[misc]
    """The members of shards as (name, bytes), split over ranks and workers.

    Shard number n belongs to the reader n modulo (ranks x workers); every rank must have the same
    list and the same number of workers.

    Args:
        refs: The shards.
        store: The folder of a store; or
        server: the URL of a server.
        token: The server's token.
    """

    def __init__(
        self, refs: Sequence[str], *, store: str = "", server: str = "", token: str = ""
    ) -> None:
        super().__init__()
        self.refs = list(refs)
        self.source = ProcessSource(store, server, token)
        self.rank, self.ranks = 0, 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self.rank, self.ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for ref in self.refs[self.rank * workers + number :: self.ranks * workers]:
            yield from members(ref, self.source)
