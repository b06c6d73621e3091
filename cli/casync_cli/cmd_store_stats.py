"""`casync store stats`: what the store holds, and the room that it takes."""

from __future__ import annotations

import typer

from casync_cli.invocation import invocation_of
from casync_cli.sizes import format_size

DETAILS = "`plain` is what the objects are unpacked, `stored` what they take in the store."
EXAMPLES = ("casync store stats", "casync store stats --json --store /srv/casync")


def run(ctx: typer.Context) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    with invocation.open_store(read_only=True) as store:
        usage, path, store_id = store.usage(), store.path, store.store_id
    if output.json_mode:
        output.document(
            "casync.store-stats/1",
            {
                "path": str(path),
                "store": store_id,
                "manifests": usage.manifests,
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
                "free": usage.free,
                "file": usage.file,
                "map": usage.map,
            },
        )
        return
    counts = [
        ("manifests", usage.manifests),
        ("outlines", usage.outlines),
        ("names", usage.names),
        ("segments", usage.segments),
    ]
    sizes = [
        ("live", usage.live),
        ("used", usage.used),
        ("free", usage.free),
        ("file", usage.file),
        ("map", usage.map),
    ]
    for kind, use in usage.objects.items():
        noun = kind.name.lower()
        counts.append((f"{noun} objects", use.number))
        sizes += [(f"{noun}s plain", use.length), (f"{noun}s stored", use.stored)]
    output.table(
        [("store", str(path), str(path)), ("id", store_id, store_id)]
        + [(label, str(count), str(count)) for label, count in counts]
        + [(label, str(size), format_size(size)) for label, size in sizes]
    )
