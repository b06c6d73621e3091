"""Results of `rm`, `undelete` and `forget`: the versions of names and manifests moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync_cli.columns import Column
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.store.base import Removal

__all__ = ["report_removal"]


def report_removal(output: Output, schema: str, removal: Removal) -> None:
    """Prints a line per version and per manifest, or one document.

    A server lists at most a page of each.
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
    listing = output.listing(Column("kind", 8), Column("hash"), Column("name"))
    for record in removal.versions:
        listing.row("name", record.manifest.hex(), f"{record.name}@{record.version}")
    for ident in removal.manifests:
        listing.row("manifest", ident.hex())
