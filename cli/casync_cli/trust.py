"""Signed names: `--trust KEY` of `pull`, and `trust` in configuration files."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from casync.errors import UnreachableError, UsageError
from casync_cli.environment import default_state
from casync_cli.invocation import Invocation

if TYPE_CHECKING:
    from casync.names.name import Ref

__all__ = ["trusted"]


def trusted(
    invocation: Invocation, ref: Ref, given: list[str], allow_rollback: bool, *, dry_run: bool
) -> Ref:
    """The full hash that a name must stand for by the signature of a trusted key.

    The first server that can be reached resolves the name; without a server the local store does,
    and what it holds is checked alike. A hash stands for itself. Keys on the command line win over
    those of the configuration; where there are none, the ref stays as it is.

    Raises:
        UsageError: A key is not valid, or `--allow-rollback` is given without a key.
        CasyncError: As `casync.ops.trust.trusted_ref`, and as the source of names is opened.
    """
    servers = invocation.servers
    keys = given
    if ref.name is not None and not given:
        keys = list(invocation.settings.trust(servers[0] if servers else None, ref.name))
    if allow_rollback and not keys:
        raise UsageError("--allow-rollback needs --trust KEY")
    if not keys:
        return ref
    from casync.fs.seen_versions import SeenVersions
    from casync.names.signing import parse_key
    from casync.ops.trust import Trust, trusted_ref
    from casync.remote.site.server_at import servers_at

    trust = Trust(frozenset(map(parse_key, keys)), allow_rollback, dry_run)
    if ref.name is None:
        return ref
    memory = SeenVersions(default_state() / "seen")
    if not servers:
        with invocation.open_store(read_only=True) as store:
            return trusted_ref(ref, store, trust, memory, time.time())
    with ExitStack() as stack:
        *first, last = servers_at(servers, invocation.transport(servers), stack)
        for server in first:
            with suppress(UnreachableError):
                return trusted_ref(ref, server, trust, memory, time.time())
        return trusted_ref(ref, last, trust, memory, time.time())
