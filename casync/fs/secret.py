"""Files with secrets: tokens and private keys, which only their owner may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from casync.errors import UsageError
from casync.fs.os_errors import writing
from casync.fs.sync import settle_file

__all__ = ["exposure", "new_secret"]


@contextmanager
def new_secret(path: Path) -> Iterator[BinaryIO]:
    """Creates a file of mode 0600 to write a secret to; durable when the block ends.

    If the block fails, the file is removed.

    Raises:
        UsageError: Something is there already.
        WriteError, NoSpaceError: It cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with writing(path):
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError as error:
            raise UsageError(
                f"{path} is there already", next_step="A secret is not replaced; name another file."
            ) from error
    try:
        with writing(path), open(descriptor, "wb") as stream:
            os.fchmod(descriptor, 0o600)  # an ACL of the folder may have widened it
            yield stream
        settle_file(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def exposure(path: Path) -> str:
    """A warning if users other than the owner and group may read or change a secret; or empty."""
    try:
        status = path.stat()
    except OSError:
        return ""
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return ""
    return f"any user of this machine may read {path}; `chmod 600` on it keeps them out"
