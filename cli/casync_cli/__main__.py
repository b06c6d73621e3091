"""`python -m casync_cli` is `casync`."""

from casync_cli.main import run

run()
