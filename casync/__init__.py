"""Replicates large, changing data and moves only the chunks that the receiver lacks.

For scripts::

    import casync

    with casync.open_store("store", create=True) as store:
        prepared = casync.prepare("vm.img", store)
        casync.pull(prepared.manifest.hex(), "copy.img", store=store)
        with casync.open_ref(prepared.manifest.hex(), store) as file:
            file.seek(1_000_000)
            file.read(512)

A job that downloads many objects runs in the background::

    job = casync.download("https://host/shard-{000..140}.tar", "shards/", store)
    row = job.wait()
    print(row.counts.finished, [fault.name for fault in job.errors()])

Every path may be a `str` or a `pathlib.Path`; `prepare` and `pull` also take an open binary file or
stream in its place. Refs are text, as on the command line.

Everything here is loaded when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casync.api import forecast, open_ref, prepare, prepare_tree, pull, push
    from casync.bucket_stores import open_store
    from casync.downloads import DownloadOptions, DownloadRequest, Job, download
    from casync.errors import CasyncError
    from casync.objects.chunker import ChunkerParams
    from casync.ops.prepare.file import PrepareOptions
    from casync.ops.pull.wanted import PullOptions
    from casync.ops.push.push import PushOptions
    from casync.remote.server.client import RemoteClient
    from casync.remote.server.transport_options import TransportOptions
    from casync.remote.site.server_at import ServerAt
    from casync.sources import get, prepare_archive, prepare_url
    from casync.training.batch import batch
    from casync.training.members import members

__version__ = "0.1.0"

__all__ = [
    "CasyncError",
    "ChunkerParams",
    "DownloadOptions",
    "DownloadRequest",
    "Job",
    "PrepareOptions",
    "PullOptions",
    "PushOptions",
    "RemoteClient",
    "ServerAt",
    "TransportOptions",
    "__version__",
    "batch",
    "download",
    "forecast",
    "get",
    "members",
    "open_ref",
    "open_store",
    "prepare",
    "prepare_archive",
    "prepare_url",
    "prepare_tree",
    "pull",
    "push",
]

_HOMES = {
    "CasyncError": "casync.errors",
    "ChunkerParams": "casync.objects.chunker",
    "DownloadOptions": "casync.downloads",
    "DownloadRequest": "casync.downloads",
    "Job": "casync.downloads",
    "PrepareOptions": "casync.ops.prepare.file",
    "PullOptions": "casync.ops.pull.file",
    "PushOptions": "casync.ops.push.push",
    "RemoteClient": "casync.remote.server.client",
    "ServerAt": "casync.remote.site.server_at",
    "TransportOptions": "casync.remote.server.transport_options",
    "batch": "casync.training.batch",
    "download": "casync.downloads",
    "get": "casync.sources",
    "members": "casync.training.members",
    "open_store": "casync.bucket_stores",
    "prepare_archive": "casync.sources",
    "prepare_url": "casync.sources",
}


def __getattr__(name: str) -> object:
    """Loads a public name from where it lives (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "casync.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
