"""The program `casync`: runs a command and turns its result or error into an exit status.

All errors are reported here.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NoReturn

import typer

from casync.errors import CasyncError, NoSpaceError, UnreachableError, UsageError
from casync_cli.environment import Variables
from casync_cli.exit_codes import exit_status
from casync_cli.invocation import Invocation
from casync_cli.signals import Interrupted, stop_on_signals
from casync_cli.streams import ClosedPipeError, guard_streams
from casync_cli.verbs import program

__all__ = ["main", "run_program"]

_MEANT: Final = {
    **dict.fromkeys(("--port", "--host", "--bind", "--address", "-p", "-l"), "--listen"),
    **dict.fromkeys(("--output", "--out", "--target", "--dest"), "-o"),
    **dict.fromkeys(("--url", "--remote", "--from", "--to"), "--server"),
    **dict.fromkeys(("--dir", "--path", "--repo"), "--store"),
    "--token": "--token-file",
}
"""Options of similar programs, and what they are called here."""

_CLOSE: Final = 0.8
"""Share of letters in common from which an option is offered for one that does not exist."""

_EXTRA: Final = re.compile(r"Got unexpected extra argument\(s\) \((.*)\)")
"""Typer's message for arguments that a command does not take."""


def run_program() -> int:
    """Runs the command line of this process; returns the exit status."""
    guard_streams()
    environment = Variables.read(os.environ)
    if environment.completing:
        _complete(environment)
    return main(sys.argv[1:], Invocation(environment, sys.stdout, sys.stderr))


def main(arguments: Sequence[str], invocation: Invocation) -> int:
    """Runs one command line.

    Args:
        arguments: The arguments, without the program name.
        invocation: The context of the command.

    Returns:
        The exit status.
    """
    try:
        status = _dispatch(list(arguments), invocation)
        invocation.output.flush()
    except ClosedPipeError:
        return 0
    except Interrupted as interrupted:
        invocation.output.error(
            "interrupted", str(interrupted), invocation.resume, interrupted.status
        )
        return interrupted.status
    except Exception as error:
        return _report(error, arguments, invocation)
    return status


def _dispatch(arguments: list[str], invocation: Invocation) -> int:
    command = program()
    try:
        with command.make_context("casync", arguments, obj=invocation) as ctx:
            return command.invoke(ctx) or 0
    except typer.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:  # raised by Typer's completion options
        return stop.code if isinstance(stop.code, int) else 0


def _report(error: Exception, arguments: Sequence[str], invocation: Invocation) -> int:
    """Writes the error, and its traceback with --debug."""
    known = _known(error)
    if isinstance(known, UsageError) and "--json" in arguments:
        invocation.common.json = True  # it may follow the part that could not be parsed
    output = invocation.output
    if invocation.common.debug or "--debug" in arguments:
        import traceback  # rarely needed, and slow to import

        output.trace("".join(traceback.format_exception(error)))
    status = exit_status(known)
    step = known.next_step
    if isinstance(known, UnreachableError):
        step = f"{step} {invocation.resume}".strip()
    output.error(known.code, known.message, step, status)
    return status


def _known(error: Exception) -> CasyncError:
    """Converts `error`: usage errors of Typer, errors of the system, and bugs."""
    if isinstance(error, CasyncError):
        return error
    if isinstance(error, typer.TyperException):
        return _usage_error(error)
    if isinstance(error, OSError):
        place = f" {os.fsdecode(error.filename)}" if error.filename is not None else ""
        kind = NoSpaceError if error.errno in (errno.ENOSPC, errno.EDQUOT) else CasyncError
        return kind(f"the system refused{place}: {error.strerror or error}")
    if isinstance(error, MemoryError):
        return CasyncError("not enough memory")
    return CasyncError(
        f"a bug in casync: {type(error).__name__}: {error}",
        next_step="Run it again with --debug and report the output.",
    )


def _usage_error(error: typer.TyperException) -> UsageError:
    """Converts a usage error of Typer."""
    offered = getattr(error, "possibilities", None) or ()
    option = getattr(error, "option_name", "")
    near = get_close_matches(option, offered, n=2, cutoff=_CLOSE)
    ctx = getattr(error, "ctx", None)
    step = f"See {ctx.command_path} --help." if ctx is not None else ""
    known = [name for param in ctx.command.params for name in param.opts] if ctx is not None else []
    if not near and _MEANT.get(option) in known:
        near = [_MEANT[option]]
    if near:
        step = f"Did you mean {' or '.join(near)}?"
    message = (error.message if offered else error.format_message()).rstrip(".")
    if extra := _EXTRA.fullmatch(message):
        message = f"unexpected argument: {extra[1]}"
    return UsageError(message[:1].lower() + message[1:], next_step=step)


def _complete(environment: Variables) -> NoReturn:
    """Prints completions for the shell. Errors are dropped: they would corrupt the line."""
    stop_on_signals()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the end
    try:
        invocation = Invocation(environment, sys.stdout, sys.stderr)
        program().main(prog_name="casync", obj=invocation)
    except SystemExit as stop:
        sys.stdout.flush()
        raise stop
    except Exception:
        sys.exit(0)
    sys.exit(0)
