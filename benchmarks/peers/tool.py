"""Finds programs and their versions by their version texts."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

OURS_SAYS = re.compile(r"^casync \d+\.\d+\.\d+")
"""The version text of this project's command, which shares its name with a peer."""


class MissingError(Exception):
    """A program is not on this machine; the message says how to get it."""


class OurselvesError(Exception):
    """The program found as a peer is this project's own command."""


@dataclass(frozen=True)
class Tool:
    """A program to look for.

    Attributes:
        command: Its file name.
        says: Pattern of its version text; the first group is the version.
        package: How to install it.
        asked: Arguments that print its version.
    """

    command: str
    says: str
    package: str
    asked: tuple[str, ...] = ("--version",)


@dataclass(frozen=True)
class Found:
    """A program that was found, and its version."""

    path: Path
    version: str


def find(tool: Tool, folders: list[Path] | None = None) -> Found:
    """The first program of that name on the PATH with a matching version text.

    Args:
        tool: The program to find.
        folders: Folders to search, instead of the PATH and the folders of the administrator.

    Raises:
        MissingError: There is none.
    """
    for folder in search_path() if folders is None else folders:
        path = folder / tool.command
        if not os.access(path, os.X_OK) or path.is_dir():
            continue
        version = recognise(tool, _version_text(path, tool.asked))
        if version is not None:
            return Found(path, version)
    raise MissingError(f"{tool.command} is missing: {tool.package}")


def recognise(tool: Tool, text: str) -> str | None:
    """The version in a version text; None when it is another program's."""
    if OURS_SAYS.match(text):
        return None
    match = re.search(tool.says, text, re.MULTILINE)
    if match is None:
        return None
    return match[1] if match.groups() else "version unknown"


def refuse_ourselves(found: Found, asked: tuple[str, ...] = ("--version",)) -> None:
    """Checks the program again, just before measuring.

    Raises:
        OurselvesError: It is this project's own command.
    """
    if OURS_SAYS.match(_version_text(found.path, asked)):
        raise OurselvesError(f"{found.path} is this project's own command, not a peer")


def search_path() -> list[Path]:
    """The folders to search."""
    named = [Path(name) for name in os.environ.get("PATH", "").split(os.pathsep) if name]
    return [*named, Path("/usr/sbin"), Path("/sbin"), Path.home() / ".cargo/bin"]


def _version_text(path: Path, asked: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            [path, *asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")
