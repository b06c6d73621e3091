"""`python -m casync_cli` is `casync`."""

from casync_cli.start import run

run()
