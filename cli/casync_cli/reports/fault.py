"""Reports of damaged and missing objects, for `verify` and `repair`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from casync_cli.columns import SHORT_DIGITS, Column, hashes
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.ids import Kind, ObjectId
    from casync.ops.upkeep.verify import Fault
    from casync_cli.short_ids import ShowId

__all__ = ["fault_fields", "print_faults"]


def print_faults(
    output: Output,
    faults: Iterable[Fault],
    show: ShowId,
    mended: Iterable[tuple[Kind, ObjectId]] = (),
) -> None:
    """Prints a line per mended object, then one per fault and affected manifest.

    Args:
        output: Prints them.
        faults: The faults.
        show: How to show the hashes of manifests.
        mended: Objects that were repaired.
    """
    listing = output.listing(
        Column("problem", 9),
        Column("kind", 8),
        hashes("id"),
        hashes("manifest"),
        Column("names"),
    )
    digits = SHORT_DIGITS if output.to_terminal else None
    for kind, ident in mended:
        listing.row("mended", kind.name.lower(), ident.hex()[:digits])
    for fault in faults:
        what = [fault.problem.value, fault.kind.name.lower(), fault.id.hex()[:digits]]
        for manifest in fault.manifests or (None,):
            listing.row(*what, show(manifest) if manifest else None, " ".join(fault.names))
        if fault.detail:
            output.detail(f"{fault.id.hex()}: {fault.detail}")


def fault_fields(fault: Fault) -> dict[str, object]:
    """A fault as JSON."""
    return {
        "problem": fault.problem.value,
        "kind": fault.kind.name.lower(),
        "id": fault.id.hex(),
        "detail": fault.detail,
        "manifests": [manifest.hex() for manifest in fault.manifests],
        "names": list(fault.names),
    }
