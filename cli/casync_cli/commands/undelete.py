"""`casync undelete`: restores names and manifests from the trash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import NoNameError, UsageError
from casync_cli.invocation import invocation_of
from casync_cli.reports.removal import report_removal

if TYPE_CHECKING:
    from casync.names.name import Ref
    from casync.store.base import Removed

DETAILS = (
    "NAME restores all versions in the trash, each with its manifest. Versions set meanwhile "
    "stay. With --server, the trash is that of the server. Columns as in `rm`."
)
EXAMPLES = ("casync undelete vm/2023-01", "casync undelete vm/nightly@3")


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str], typer.Argument(metavar="REF", help="The name, version or hash to restore.")
    ],
) -> None:
    """Runs the command."""
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    parsed = [parse_whole_ref(ref) for ref in refs]
    with invocation.tended() as place:
        if not invocation.remote.server:
            parsed = [_whole(ref, place.removed()) for ref in parsed]
        restored = place.restore(parsed)
        show = invocation.shown_ids(place)
        report_removal(invocation.output, "casync.undelete/1", restored, show)


def _whole(ref: Ref, trash: Iterable[Removed]) -> Ref:
    """`ref`, with all digits if it is a prefix of a hash in the trash.

    Raises:
        NoNameError: No hash in the trash has the prefix.
        UsageError: Several have it.
    """
    from casync.names.name import Ref

    if ref.prefix is None:
        return ref
    found = {entry.manifest for entry in trash if entry.manifest.hex().startswith(ref.prefix)}
    if not found:
        raise NoNameError(
            f"no manifest in the trash begins with {ref.prefix}",
            next_step="`casync rm --list` lists the trash.",
        )
    if len(found) > 1:
        raise UsageError(
            f"several manifests in the trash begin with {ref.prefix}",
            next_step="Type more digits.",
        )
    return Ref(manifest=found.pop())
