"""Names by the word of their publishers: `--trust KEY` of `pull`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from casync_cli.config import default_state
from casync_cli.invocation import Invocation

if TYPE_CHECKING:
    from casync.name import Ref

__all__ = ["trusted"]


def trusted(
    invocation: Invocation, ref: Ref, keys: list[str], allow_rollback: bool, *, dry_run: bool
) -> Ref:
    """The full hash that a name of the first server stands for. A hash stands for itself.

    Raises:
        UsageError: A key is none.
        CasyncError: As `casync.ops.trust.trusted_ref`.
    """
    from casync.fs.seen import SeenVersions
    from casync.ops.trust import Trust, trusted_ref
    from casync.remote.client import RemoteClient
    from casync.signing import parse_key

    trust = Trust(frozenset(map(parse_key, keys)), allow_rollback, dry_run)
    servers = invocation.servers
    if ref.name is None or not servers:
        return ref  # without a server the pull itself says what is wrong
    memory = SeenVersions(default_state() / "seen")
    with RemoteClient(servers[0], invocation.transport(servers)) as client:
        return trusted_ref(ref, client, trust, memory, time.time())
