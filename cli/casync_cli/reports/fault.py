"""Reports of damaged and missing objects, for `verify` and `repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.ops.upkeep.verify import Fault

__all__ = ["fault_fields", "print_fault"]


def print_fault(output: Output, fault: Fault) -> None:
    """Prints a line per affected manifest."""
    what = [fault.problem.value, fault.kind.name.lower(), fault.id.hex()]
    names = " ".join(fault.names)
    for manifest in fault.manifests or (None,):
        output.row(*what, manifest.hex() if manifest else "", names)
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
