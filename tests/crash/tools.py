"""Programs that fault tests need. A missing one fails the test."""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

__all__ = ["tool"]

_PACKAGES: Final = {
    "gcc": "gcc libc6-dev",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "strace": "strace",
    "unshare": "util-linux",
}


def tool(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.fail(f"{name} is missing: apt install {_PACKAGES[name]}", pytrace=False)
    return found
