"""Opens the folder that a tree is pulled into, or compared with."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from casync.errors import WriteError
from casync.fs.beneath import FOLDER
from casync.fs.links import resolve
from casync.fs.os_errors import write_error
from casync.fs.rights import open_up

__all__ = ["open_target"]


@contextmanager
def open_target(path: Path, *, make: bool, opens_up: bool = False) -> Iterator[int | None]:
    """The folder at `path`, open; None if there is none and none shall be made.

    Args:
        path: The folder.
        make: Make it if it is missing.
        opens_up: Give ourselves all rights on it if it is ours, and take them back if the block
            fails.

    Raises:
        WriteError: Something else is there, or it cannot be made.
        DeniedError: It may not be read. Or the path leads through a link of another user, in a
            folder that everybody may write to.
    """
    mode = None
    try:
        place = resolve(path)
        if make:
            with suppress(FileExistsError):
                os.mkdir(place, 0o700)
        elif opens_up:
            mode = _open_up(place)
        fd = os.open(place, FOLDER | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        if make or not path.parent.is_dir():
            raise WriteError(
                f"there is no folder {path.parent}", next_step="Make it first."
            ) from error
        yield None
        return
    except NotADirectoryError as error:
        raise WriteError(f"{path} is not a folder", next_step="Name another place.") from error
    except OSError as error:
        raise write_error(error, path) from error
    try:
        yield fd
    except BaseException:
        if mode is not None and stat.S_IMODE(os.fstat(fd).st_mode) == mode | stat.S_IRWXU:
            with suppress(OSError):
                os.fchmod(fd, mode)
        raise
    finally:
        os.close(fd)


def _open_up(place: Path) -> int | None:
    """As `open_up`, of a path without links; the root of all has no parent, and its rights."""
    parent = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_up(parent, os.fsencode(place.name)) if place.name else None
    finally:
        os.close(parent)
