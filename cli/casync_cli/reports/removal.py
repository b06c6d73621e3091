"""Results of `rm`, `undelete` and `forget`: the versions of names and manifests moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync_cli.columns import Column, hashes
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.store.base import Removal
    from casync_cli.short_ids import ShowId

__all__ = ["report_removal"]


def report_removal(output: Output, schema: str, removal: Removal, show: ShowId) -> None:
    """Prints a line per version and per manifest, or one document.

    Args:
        output: Prints them.
        schema: The schema of the document.
        removal: What was moved. A server lists at most a page of each.
        show: The digits to show of a hash.
    """
    if removal.more:
        output.say("the list is incomplete: the server returns only its first part")
    if output.json_mode:
        versions = [
            {
                "name": record.name,
                "version": record.version,
                "manifest": record.manifest.hex(),
            }
            for record in removal.versions
        ]
        manifests = [ident.hex() for ident in removal.manifests]
        output.document(schema, {"versions": versions, "manifests": manifests})
        return
    listing = output.listing(Column("kind", 8), hashes("hash"), Column("name"))
    for record in removal.versions:
        listing.row("name", show(record.manifest), f"{record.name}@{record.version}")
    for ident in removal.manifests:
        listing.row("manifest", show(ident))
