"""`casync publish`: names and what they need, as files that a plain web server hands out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from casync.sizes import format_count, format_size
from casync_cli.completion import complete_name
from casync_cli.invocation import invocation_of
from casync_cli.options import DryRun
from casync_cli.parsing.counts import parse_count
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.times import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casync.ops.publish.publish import Published
    from casync_cli.output import Output

DETAILS = (
    "Writes the newest versions of names, and all that they need, below PLACE: a folder, or a "
    "prefix of a bucket. Any web server that serves ranges of files then serves them: `casync "
    "pull NAME --server URL`. A repeat sends only what is new. What no name needs any more is "
    "removed by the first publish after the grace. Readers of one name can read all chunks below "
    "PLACE: give each audience its own place."
)
EXAMPLES = (
    "casync publish vm/stable /srv/www/images",
    "casync publish vm/stable vm/testing s3://images/public --history 3",
    "casync publish --remove vm/testing s3://images/public",
)

_MOST_VERSIONS = 1000


def run(
    ctx: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="Names in the local store.", autocompletion=complete_name
        ),
    ],
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="A folder, or the URL of a bucket.")
    ],
    history: Annotated[
        str, typer.Option("--history", metavar="N", help="Keep the newest N versions of each name.")
    ] = "1",
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the names from PLACE instead.")
    ] = False,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Keep what no name needs for this long.")
    ] = "7d",
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    from casync.names.name import parse_name
    from casync.ops.publish.dry_run import UnwrittenStorage
    from casync.ops.publish.publish import PublishOptions, publish, unpublish
    from casync.remote.storages.open import open_storage

    invocation = invocation_of(ctx)
    parsed = [parse_name(name) for name in names]
    options = PublishOptions(
        history=parse_count(history, "--history", 1, _MOST_VERSIONS),
        grace=int(parse_duration(grace)),
    )
    if "://" not in place:
        place = f"file://{parse_path(place, 'publish').absolute()}"
    storage = open_storage(place, invocation.source_options(place))
    target = UnwrittenStorage(storage) if dry_run else storage
    now = int(time.time())
    try:
        if remove:
            published = unpublish(parsed, target, options, now)
        else:
            with invocation.open_store(read_only=True) as store, invocation.progress() as progress:
                published = publish(parsed, store, target, options, now, progress)
    finally:
        storage.close()
    _report(invocation.output, published, names if remove else (), dry_run=dry_run)


def _report(
    output: Output, published: Published, unpublished: Sequence[str], *, dry_run: bool
) -> None:
    if output.json_mode:
        output.document(
            "casync.publish/1",
            {
                "names": [
                    {"name": one.name, "version": one.version, "manifest": one.manifest.hex()}
                    for one in published.names
                ],
                "manifests": published.manifests,
                "chunks": published.chunks,
                "stored": published.stored,
                "dropped": published.dropped,
                "waiting": published.waiting,
                "removed": published.removed,
                "broken": [str(name) for name in published.broken],
                "dry_run": dry_run,
            },
        )
        return
    for one in published.names:
        output.row(one.manifest.hex(), f"{one.name}@{one.version}")
    output.flush()
    for name in published.broken:
        output.say(f"warning: a part of {name} is lost there; publish it again, or --remove it")
    mood = "would be " if dry_run else ""
    dropped = format_count(published.dropped, "version")
    if unpublished:
        output.say(f"{', '.join(unpublished)}: {dropped} {mood}removed")
    else:
        sent = format_count(published.chunks, "chunk")
        output.say(f"{sent} {mood}sent: {format_size(published.stored)}")
        if published.dropped:
            output.say(f"{dropped} {mood}dropped")
    if published.waiting:
        waiting = format_count(published.waiting, "object")
        output.say(f"{waiting} without a name {'would wait' if dry_run else 'wait'} for the grace")
    if published.removed:
        removed = format_count(published.removed, "object")
        output.say(f"{removed} {'would be removed' if dry_run else 'removed'}")
