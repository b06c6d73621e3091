"""The JSON documents of a static site (docs/FORMAT.md section 11).

Names are the same documents as a server's, with the versions before the newest one.
"""

from __future__ import annotations

import msgspec

from casync.errors import RemoteProtocolError
from casync.names.name import NameRecord
from casync.wire.documents import NameItem, Seconds, name_item, name_record

__all__ = ["SiteName", "Unnamed", "site_name", "site_versions"]


class SiteName(NameItem, frozen=True, omit_defaults=True):
    """The newest version of a name, and those before it that are here, the newest first."""

    history: list[NameItem] = []  # noqa: RUF012  msgspec copies it


class Unnamed(msgspec.Struct, frozen=True):
    """The object `unnamed`: keys that no name needs, with the time at which that was found."""

    keys: dict[str, Seconds]


def site_name(versions: list[NameRecord]) -> SiteName:
    """The document of a name.

    Args:
        versions: Its versions, the oldest first; at least one.
    """
    older = [name_item(record) for record in reversed(versions[:-1])]
    item = name_item(versions[-1])
    return SiteName(item.name, item.version, item.manifest, item.created, item.signed, older)


def site_versions(item: SiteName) -> list[NameRecord]:
    """The versions in a document, the oldest first.

    Raises:
        RemoteProtocolError: A name breaks the rules, or the versions are not of one name in order.
    """
    found = [name_record(one) for one in [*reversed(item.history), item]]
    numbers = [record.version for record in found]
    if sorted(set(numbers)) != numbers or len({record.name for record in found}) != 1:
        raise RemoteProtocolError(f"a wrong history of {item.name}")
    return found
