"""`casync config show`: the settings in effect, and their sources."""

from __future__ import annotations

import typer

from casync_cli.invocation import invocation_of

DETAILS = (
    "Columns: setting, value, source: an option, a variable, a file, or `default`. Options on the"
    " same command line count. Tokens are not shown, only their files."
)
EXAMPLES = ("casync config show", "casync config show --config /srv/casync.toml --json")


def run(ctx: typer.Context) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    settings = invocation.settings
    if output.json_mode:
        fields = [
            {"key": key, "value": setting.value, "source": setting.source}
            for key, setting in settings
        ]
        files = [str(file.path) for file in settings.files]
        output.document("casync.config/1", {"files": files, "settings": fields})
        return
    for key, (value, source) in settings:
        shown = value if isinstance(value, str) else " ".join(value or ())
        output.row(key, shown, source)
