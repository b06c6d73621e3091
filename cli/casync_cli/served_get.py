"""`get` with a server: it fetches an object into its store, and gives it to this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from casync.errors import CasyncError, DeniedError, NotFoundError, RemoteError, UsageError
from casync_cli.invocation import Invocation
from casync_cli.job_ids import find_job
from casync_cli.job_waiting import JobWaiting
from casync_cli.job_watch import follow
from casync_cli.reports.job_end import raise_for

if TYPE_CHECKING:
    from casync.jobs.fault import ObjectFault
    from casync.names.name import NameRecord

__all__ = ["ServedObject", "get_on_server"]

_LOOK_SECONDS: Final = 0.5


class ServedObject(NamedTuple):
    """An object that a server has fetched.

    Attributes:
        record: The version of the name that it has there.
        length: Its length in bytes.
        unchanged: Whether the server had it already.
        outcome: What became of the target; None without one.
        seconds: How long it took.
    """

    record: NameRecord
    length: int
    unchanged: bool
    outcome: str | None
    seconds: float


def get_on_server(
    invocation: Invocation, url: str, name: str | None, target: Path | BinaryIO | None
) -> ServedObject:
    """Lets the server on the command line fetch an object, and pulls it from there.

    Args:
        invocation: The context of the command.
        url: The address of the object.
        name: The name that it gets on the server.
        target: Where it is written; None for nowhere.

    Raises:
        UsageError: There is no name, or the address stands for several objects.
        NotFoundError: There is no such object.
        DeniedError: The server does not fetch it.
        CasyncError: It could not be fetched or pulled.
    """
    from casync import api
    from casync.ids import ManifestId
    from casync.jobs.request import specify
    from casync.jobs.spec import JobSpec, SourceKind
    from casync.names.name import parse_name
    from casync.ops.pull.file import Pulled

    if name is None:
        raise UsageError(
            "a server keeps what it fetches under a name", next_step="Give one with --name NAME."
        )
    label = parse_name(name)
    wanted = JobSpec(url, name, SourceKind.OBJECT)
    if specify(wanted).kind is not SourceKind.OBJECT:
        raise UsageError(f"{url} stands for several objects", next_step="Use `casync download`.")
    began = time.monotonic()
    with invocation.jobs_client() as client:
        ident = client.create(wanted).id
        again = invocation.job_command(f"wait {ident}")
        invocation.resume = f"The server goes on; `{again}` waits for it."
        waiting = JobWaiting(client, is_served=True)
        row = follow(None, lambda: find_job(client, ident), waiting.is_over, _LOOK_SECONDS)
        assert row is not None  # there is no deadline
        for fault in client.faults(ident, limit=1):
            raise _error(fault)
        raise_for(row, row.state.value, invocation.job_command)
        record = client.history(label)[-1]
        manifest = client.manifest(ManifestId(record.manifest))
        length = 0 if manifest is None else manifest.length
    outcome: str | None = None
    if target is not None:
        servers = invocation.remote.server
        with invocation.progress() as progress:
            pulled = api.pull(
                record.manifest.hex(),
                target,
                servers=servers,
                transport=invocation.transport(servers),
                progress=progress,
            )
        assert isinstance(pulled, Pulled)
        outcome = pulled.outcome
    unchanged = not row.counts.finished
    return ServedObject(record, length, unchanged, outcome, time.monotonic() - began)


def _error(fault: ObjectFault) -> CasyncError:
    """The error that the fault of an object stands for."""
    message = f"{fault.url}: {fault.message}"
    if fault.status in (404, 410):
        return NotFoundError(message)
    if fault.kind == "policy" or fault.status in (401, 403):
        return DeniedError(message)
    return RemoteError(message)
