"""`casync config show`: the settings in effect, and their sources."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from casync.jobs.address import redacted
from casync_cli.columns import Column
from casync_cli.invocation import invocation_of
from casync_cli.settings import Setting

DETAILS = (
    "Columns: setting, value, source: an option, a variable, a file, or `default`. Options on the"
    " same command line count. The limits of `serve` follow, by their variables. Tokens are not "
    "shown, only their files."
)
EXAMPLES = ("casync config show", "casync config show --config /srv/casync.toml --json")


def run(ctx: typer.Context) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    files = [str(file.path) for file in invocation.settings.files]
    settings = [*map(_without_secrets, invocation.settings), *_of_servers()]
    if output.json_mode:
        fields = [
            {"key": key, "value": setting.value, "source": setting.source}
            for key, setting in settings
        ]
        output.document("casync.config/1", {"files": files, "settings": fields})
        return
    rows = [
        (key, value if isinstance(value, str) else " ".join(value or ()), source)
        for key, (value, source) in settings
    ]
    keys, values = (max(len(row[place]) for row in rows) for place in (0, 1))
    listing = output.listing(Column("setting", keys), Column("value", values), Column("source"))
    for row in rows:
        listing.row(*row)


def _without_secrets(row: tuple[str, Setting]) -> tuple[str, Setting]:
    """A row in which addresses of servers have no queries, which may be signatures."""
    key, (value, source) = row
    if key == "servers" and value is not None:
        value = redacted(value) if isinstance(value, str) else [redacted(one) for one in value]
    return key, Setting(value, source)


def _of_servers() -> Iterator[tuple[str, Setting]]:
    """The limits of `serve` in this environment."""
    from casync_server.settings import PREFIX, read_settings

    settings = read_settings()
    for field, value in settings:
        variable = PREFIX + field.upper()
        source = variable if field in settings.model_fields_set else "default"
        shown = f"{value:g}" if isinstance(value, float) else value
        yield variable, Setting(shown if isinstance(shown, tuple) else str(shown), source)
