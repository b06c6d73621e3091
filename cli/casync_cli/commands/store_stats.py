"""`casync store stats`: shows contents and sizes of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.sizes import format_size
from casync_cli.columns import Column, counts, hashes, sizes
from casync_cli.completion import complete_ref
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.names.name import Ref
    from casync.store.lmdb.store import LmdbStore
    from casync.store.lmdb.usage import StoreUsage

DETAILS = (
    "`plain` is the unpacked size of the objects, `stored` their size in the store. With REFs, "
    "prints for each: hash, length, stored size, size that it does not share, size shared with "
    "each REF."
)
EXAMPLES = (
    "casync store stats",
    "casync store stats vm/2024-05 vm/2024-06",
    "casync store stats --json --store /srv/casync",
)


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF", help="Manifests to compare.", autocompletion=complete_ref),
    ] = None,
) -> None:
    """Runs the command."""
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    parsed = [parse_whole_ref(ref) for ref in refs or ()]
    with invocation.open_store(read_only=True) as store:
        if parsed:
            _compare(invocation, store, parsed)
        else:
            _show(invocation.output, store, store.usage())


def _compare(invocation: Invocation, store: LmdbStore, refs: list[Ref]) -> None:
    from casync.ops.inspect.sharing import sharing

    output = invocation.output
    manifests = [store.resolve(ref) for ref in refs]
    with invocation.progress() as progress:
        shares = sharing(store, manifests, progress)
    if output.json_mode:
        fields = [
            {"ref": str(ref), **share._asdict(), "manifest": share.manifest.hex()}
            for ref, share in zip(refs, shares, strict=True)
        ]
        output.document("casync.store-sharing/1", {"refs": fields})
        return
    show = invocation.shown_ids(store)
    heads = ["length", "stored", "own", *(f"with {n}" for n in range(1, len(refs) + 1))]
    listing = output.listing(hashes("hash"), *map(sizes, heads))
    for share in shares:
        listing.row(show(share.manifest), share.total, share.stored, share.own, *share.shared)


def _show(output: Output, store: LmdbStore, usage: StoreUsage) -> None:
    is_in_folder = store.place == str(store.path)
    if output.json_mode:
        output.document(
            "casync.store-stats/1",
            {
                "path": store.place,
                "store": store.store_id,
                "manifests": usage.manifests,
                "logical": usage.logical,
                "outlines": usage.outlines,
                "names": usage.names,
                "objects": {
                    kind.name.lower(): {
                        "count": use.number,
                        "plain": use.length,
                        "stored": use.stored,
                    }
                    for kind, use in usage.objects.items()
                },
                "segments": usage.segments,
                "used": usage.used,
                "live": usage.live,
                "free": usage.free if is_in_folder else None,
                "file": usage.file if is_in_folder else None,
                "map": usage.map if is_in_folder else None,
                "quota": usage.quota,
                "jobs": usage.jobs,
                "job_bytes": usage.job_bytes,
            },
        )
        return
    numbers = [
        ("manifests", usage.manifests),
        ("outlines", usage.outlines),
        ("names", usage.names),
        ("segments", usage.segments),
        ("jobs", usage.jobs),
    ]
    lengths = [
        ("logical", usage.logical),
        ("live", usage.live),
        ("used", usage.used),
        *([("free", usage.free), ("file", usage.file), ("map", usage.map)] if is_in_folder else []),
        ("rows of jobs", usage.job_bytes),
    ]
    path, store_id = store.place, store.store_id
    output.table(
        [("store", path, path), ("id", store_id, store_id)]
        + [(label, str(count), str(count)) for label, count in numbers]
        + [(label, str(size), format_size(size)) for label, size in lengths]
        + [("quota", str(usage.quota), format_size(usage.quota) if usage.quota else "none")]
    )
    _show_objects(output, usage)
    dead = usage.used - usage.live
    if dead > usage.used // 8:
        output.say(f"`casync gc` frees up to {format_size(dead)} of segments")
    if usage.free > usage.file // 8 and is_in_folder:
        output.say(f"`casync store compact` returns about {format_size(usage.free)} to the disk")


def _show_objects(output: Output, usage: StoreUsage) -> None:
    listing = output.listing(Column("objects", 8), counts("count"), sizes("plain"), sizes("stored"))
    for kind, use in usage.objects.items():
        noun = kind.name.lower()
        if output.to_terminal:
            listing.row(noun, use.number, use.length, use.stored)
            continue
        output.row(f"{noun} objects", str(use.number))
        output.row(f"{noun}s plain", str(use.length))
        output.row(f"{noun}s stored", str(use.stored))
