"""`casync forget`: moves old versions of names to the trash."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_name
from casync_cli.invocation import invocation_of
from casync_cli.options import DryRun
from casync_cli.parsing.patterns import check_open, literal_prefix, matches
from casync_cli.parsing.times import parse_duration
from casync_cli.reports.removal import report_removal

if TYPE_CHECKING:
    from casync.names.name import Ref
    from casync.ops.upkeep.forget import KeepRule
    from casync.store.lmdb.store import LmdbStore

DETAILS = (
    "Keeps the newest version, and versions that match one of the options. Moves the others to "
    "the trash, with manifests that no other name points to, as `rm` does. `undelete` restores "
    "them; `gc` frees their space."
)
EXAMPLES = (
    "casync forget vm/nightly --keep-last 7",
    "casync forget 'vm/*' --keep-last 3 --keep-within 30d --dry-run",
)

_MOST_VERSIONS: Final = 10**9


def run(
    ctx: typer.Context,
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN", help="A name, PREFIX/ or GLOB.", autocompletion=complete_name
        ),
    ],
    keep_last: Annotated[
        str | None,
        typer.Option("--keep-last", metavar="N", help="Keep the N newest versions of each name."),
    ] = None,
    keep_within: Annotated[
        str | None,
        typer.Option("--keep-within", metavar="TIME", help="Keep versions set within this time."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    rule = _rule(keep_last, keep_within)
    invocation = invocation_of(ctx)
    with invocation.open_store(read_only=dry_run) as store:
        refs = _refs(store, pattern, rule)
        removal = store.removal(refs) if dry_run else store.remove(refs)
        show = invocation.shown_ids(store) if dry_run else invocation.shown_removed(store.removed)
        report_removal(invocation.output, "casync.forget/1", removal, show)


def _rule(keep_last: str | None, keep_within: str | None) -> KeepRule:
    from casync.ops.upkeep.forget import KeepRule
    from casync_cli.parsing.counts import parse_count

    if keep_last is None and keep_within is None:
        raise UsageError(
            "forget needs a rule", next_step="Give --keep-last, --keep-within or both."
        )
    return KeepRule(
        last=0 if keep_last is None else parse_count(keep_last, "--keep-last", 1, _MOST_VERSIONS),
        within=0.0 if keep_within is None else parse_duration(keep_within),
    )


def _refs(store: LmdbStore, pattern: str, rule: KeepRule) -> list[Ref]:
    """The versions to remove."""
    from casync.names.name import Ref, parse_name
    from casync.ops.upkeep.forget import forgettable

    now = time.time()
    newest = [r for r in store.names(literal_prefix(pattern)) if matches(r.name, pattern)]
    if not newest:
        check_open(pattern)
    return [
        Ref(name=parse_name(record.name), version=record.version)
        for each in newest
        for record in forgettable(store.history(parse_name(each.name)), rule, now)
    ]
