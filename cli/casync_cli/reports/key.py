"""Results of `key new` and `key show`."""

from __future__ import annotations

from casync.names.signing import format_key
from casync_cli.output import Output

__all__ = ["report_key"]


def report_key(output: Output, public: bytes) -> None:
    """Prints a public key."""
    if output.json_mode:
        output.document("casync.key/1", {"key": format_key(public)})
    else:
        output.row(format_key(public))
