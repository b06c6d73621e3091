"""`casync help`: shows the help of a command."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.completion import complete_command

DETAILS = "As `casync COMMAND --help`; without COMMAND, lists all commands."
EXAMPLES = ("casync help", "casync help pull", "casync help store stats")


def run(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help="A command, or a group of commands.",
            autocompletion=complete_command,
        ),
    ] = None,
) -> None:
    """Runs the command.

    Raises:
        UsageError: There is no such command.
    """
    program = ctx.find_root().command
    with program.make_context("casync", [*(command or ()), "--help"], obj=ctx.obj) as shown:
        program.invoke(shown)
