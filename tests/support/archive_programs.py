"""Programs that make and read archives: those of this machine, or out of Debian's packages."""

from __future__ import annotations

import shutil
from functools import cache

import pytest

from tests.support.debian import INFO_ZIP, LIBARCHIVE, UnavailableError, unpacked

_PACKAGES = {
    "bsdtar": ("libarchive", LIBARCHIVE),
    "zip": ("info-zip", INFO_ZIP),
    "unzip": ("info-zip", INFO_ZIP),
}


@cache
def archive_program(command: str) -> str:
    """The path of `bsdtar`, `zip` or `unzip`; skips the test where apt cannot get it."""
    if (found := shutil.which(command)) is not None:
        return found
    try:
        return str(unpacked(*_PACKAGES[command]) / "usr/bin" / command)
    except UnavailableError as error:
        pytest.skip(str(error))
