"""Shell completion of names, refs and jobs, from the local store only. It never fails.

It runs at a key press, so it stops after a screenful.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

import typer
from typer.core import TyperGroup

from casync_cli.invocation import Invocation, invocation_of

__all__ = ["complete_command", "complete_job", "complete_name", "complete_ref"]

_MOST: Final = 200
_DIGITS: Final = re.compile(r"[0-9a-f]{2,64}", re.ASCII)
"""Hashes are offered from the second digit on; before that, too many would match."""


def complete_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names that begin with `incomplete`."""
    return _quietly(ctx, incomplete, hashes=False)


def complete_ref(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names and hashes that begin with `incomplete`."""
    return _quietly(ctx, incomplete, hashes=True)


def complete_job(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of jobs that begin with `incomplete`, newest first."""
    try:
        invocation = invocation_of(ctx)
        invocation.common.quiet = True
        with invocation.open_store(read_only=True) as store:
            return [row.id for row in store.jobs.matching(incomplete)][: -_MOST - 1 : -1]
    except Exception:
        return []


def complete_command(ctx: typer.Context, incomplete: str) -> list[str]:
    """Commands that begin with `incomplete`."""
    program = ctx.find_root().command
    assert isinstance(program, TyperGroup)
    return [name for name in program.list_commands(ctx) if name.startswith(incomplete)]


def _quietly(ctx: typer.Context, incomplete: str, *, hashes: bool) -> list[str]:
    try:
        invocation = invocation_of(ctx)
        invocation.common.quiet = True
        return list(islice(_fitting(invocation, incomplete, hashes=hashes), _MOST))
    except Exception:
        # An error would corrupt the half-typed line.
        return []


def _fitting(invocation: Invocation, incomplete: str, *, hashes: bool) -> Iterator[str]:
    with invocation.open_store(read_only=True) as store:
        for record in store.names(incomplete):
            yield record.name
        if hashes and _DIGITS.fullmatch(incomplete):
            for row in store.manifests():
                if row.id.hex().startswith(incomplete):
                    yield row.id.hex()
