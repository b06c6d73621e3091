"""The keys of a store in a bucket (docs/FORMAT.md section 11.1)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from blake3 import blake3

from casync.ids import ManifestId
from casync.names.name import Name

__all__ = [
    "HEAD_KEY",
    "LEASES",
    "MAPS",
    "MARKER_KEY",
    "NAMES",
    "PROBES",
    "RUNS",
    "SEGMENTS",
    "SESSION_BYTES",
    "UNNAMED_KEY",
    "SessionPart",
    "map_key",
    "map_of",
    "name_key",
    "part_of",
    "run_key",
    "segment_key",
]

MARKER_KEY: Final = "store"
HEAD_KEY: Final = "head"
UNNAMED_KEY: Final = "unnamed"

SEGMENTS: Final = "seg/"
RUNS: Final = "run/"
MAPS: Final = "m/"
NAMES: Final = "n/"
PROBES: Final = "probe/"
LEASES: Final = "lease/"

SESSION_BYTES: Final = 16
"""Bytes of the random id of a writer's session."""

_PART: Final = re.compile(r"(?:seg/([0-9a-f]{2})|run)/([0-9a-f]{32})-([0-9a-f]{8})")
_MAP: Final = re.compile(r"m/([0-9a-f]{2})/([0-9a-f]{64})")


class SessionPart(NamedTuple):
    """A segment or a run: what a session wrote as its part of this number. Never written anew.

    Attributes:
        session: The session's id, `SESSION_BYTES` random bytes.
        number: Counts from 0 in each session.
    """

    session: bytes
    number: int


def segment_key(part: SessionPart) -> str:
    """The key of a segment. Two digits of the session spread listings and partitions."""
    return f"{SEGMENTS}{part.session[:1].hex()}/{_label(part)}"


def run_key(part: SessionPart) -> str:
    """The key of a run."""
    return RUNS + _label(part)


def part_of(key: str) -> SessionPart | None:
    """The part that a key of a segment or a run names; None for any other key."""
    found = _PART.fullmatch(key)
    if found is None or (found[1] is not None and found[1] != found[2][:2]):
        return None
    return SessionPart(bytes.fromhex(found[2]), int(found[3], 16))


def map_key(manifest: ManifestId) -> str:
    """The key of the map of a manifest."""
    return f"{MAPS}{manifest[:1].hex()}/{manifest.hex()}"


def map_of(key: str) -> ManifestId | None:
    """The manifest whose map has this key; None for any other key."""
    found = _MAP.fullmatch(key)
    return ManifestId(bytes.fromhex(found[2])) if found and found[1] == found[2][:2] else None


def name_key(name: Name) -> str:
    """The key of a name: by its hash, since a name may be the beginning of another one's path."""
    digest = blake3(name.encode()).hexdigest()
    return f"{NAMES}{digest[:2]}/{digest}"


def _label(part: SessionPart) -> str:
    return f"{part.session.hex()}-{part.number:08x}"
