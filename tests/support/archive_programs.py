"""Programs that make and read archives: those of this machine, or out of Debian's packages."""

from __future__ import annotations

import shutil
from functools import cache

import pytest

from tests.support.debian import (
    INFO_ZIP,
    LIBARCHIVE,
    LZ4,
    PIGZ,
    SEVEN_ZIP,
    ZSTD,
    UnavailableError,
    unpacked,
)

_PACKAGES = {
    "bsdtar": ("libarchive", LIBARCHIVE),
    "zip": ("info-zip", INFO_ZIP),
    "unzip": ("info-zip", INFO_ZIP),
    "7z": ("7zip", SEVEN_ZIP),
    "zstd": ("zstd", ZSTD),
    "pzstd": ("zstd", ZSTD),
    "lz4": ("lz4", LZ4),
    "pigz": ("pigz", PIGZ),
}
_FOLDERS = ("usr/lib/p7zip", "usr/lib/7zip", "usr/bin")
"""The first with a program has it; the `7z` of usr/bin only starts the one in its own folder."""


@cache
def archive_program(command: str) -> str:
    """The path of a program; skips the test where apt cannot get it."""
    if (found := shutil.which(command)) is not None:
        return found
    try:
        root = unpacked(*_PACKAGES[command])
    except UnavailableError as error:
        pytest.skip(str(error))
    return str(next(path for one in _FOLDERS if (path := root / one / command).exists()))
