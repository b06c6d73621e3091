"""From what a user asks for to the specification of a job, without a look at the source.

What a source stands for can be seen from its address:

- with a list of objects, it is what their keys are relative to;
- it ends with `/`, or is a bucket or host without a key: everything below it;
- it ends with `*`: every object whose address begins with what precedes it;
- it has ranges: the objects of the template;
- anything else is one object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from casync.errors import NotFoundError, UsageError
from casync.jobs.address import Address, parse_address, redacted, split_query
from casync.jobs.item import Item
from casync.jobs.naming import (
    label_template,
    last_label,
    name_below,
    path_label,
    percent_decoded,
    relative_label,
)
from casync.jobs.numbered import numbered_objects
from casync.jobs.object_list import ListedItem
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.template import address_template
from casync.jobs.validators import Validators
from casync.limits import MIN_HOURLY, MIN_RATE

__all__ = ["given_items", "is_listed", "listing_place", "specify"]


def specify(wanted: JobSpec, list_digest: bytes = b"") -> JobSpec:
    r"""The specification of a job.

    Args:
        wanted: What the user asks for, with any kind. Its destination is a folder of names if it
            is empty or ends with a slash, or if there can be several objects; otherwise it is the
            whole name.
        list_digest: BLAKE3 of the list of objects, if there is one.

    Returns:
        `wanted` with its kind. Of a source that is no template, `\{` and the like are undone, and
        the `*` of a prefix is taken off.

    Raises:
        UsageError: The address is invalid; its objects could have no names; a limit is too low; or
            a job that does not list its source shall remove what is gone there.
    """
    address = parse_address(wanted.source)
    _refuse_low_limits(wanted)
    kind, source = _kind(address, is_list=bool(list_digest))
    dest = wanted.dest
    if kind is not SourceKind.OBJECT and dest and not dest.endswith("/"):
        dest += "/"
    if wanted.sync and kind is not SourceKind.LISTING:
        if kind is SourceKind.LIST:
            raise UsageError(
                "a list does not say what is gone at the source",
                next_step="Drop --sync, or the list.",
            )
        raise UsageError(
            f"{redacted(wanted.source)} is not listed, so it cannot be known what is gone there",
            next_step="Drop --sync, or end the source with / or *.",
        )
    spec = replace(wanted, source=source, dest=dest, kind=kind, list_digest=list_digest)
    if kind is SourceKind.OBJECT and (not dest or dest.endswith("/")):
        single = parse_address(source)
        name_below(dest, last_label(single), single)
    elif kind is SourceKind.TEMPLATE:
        template = address_template(address)
        labels = label_template(template, address, flatten=spec.flatten)
        name_below(dest, labels[0], address)
        name_below(dest, labels[len(labels) - 1], address)
    return spec


def listing_place(spec: JobSpec) -> tuple[str, str]:
    """Where to list the source of a job.

    Returns:
        The address of a folder, bucket or host, and what the keys below it begin with.
    """
    numbered = numbered_objects(spec)
    address = parse_address(spec.source) if numbered is None else numbered.prefix
    path, query = split_query(address)
    folder, slash, stem = path.rpartition("/")
    if not stem or not (address.is_local or slash):
        return str(address), ""
    if address.has_query:  # keys are decoded
        stem = percent_decoded(stem)
    return str(Address(address.scheme, f"{folder}{slash}{query}")), stem


def is_listed(spec: JobSpec) -> bool:
    """Whether only a listing of the source tells which objects a job has."""
    return spec.kind is SourceKind.LISTING or numbered_objects(spec) is not None


def given_items(
    spec: JobSpec, entries: Iterable[ListedItem], *, is_share: bool = False
) -> Iterator[Item]:
    """The items of a given list that belong to a job's share.

    An entry that cannot have a name becomes an item without one, so it fails alone.

    Args:
        spec: What the job does.
        entries: The list.
        is_share: Whether these are the entries of the job's share already.

    Raises:
        UsageError: The list is malformed, or an address in it is.
        NotFoundError: The list is empty, and that is not allowed.
    """
    base = parse_address(spec.source)
    index = -1
    for index, entry in enumerate(entries):
        if not is_share and spec.part_of(index) != spec.part:
            continue
        if entry.target[:1] == "/":
            raise UsageError(
                f"the list has {entry.target}, which is neither an address nor relative to its "
                "source",
                next_step="Write it without the slash at its beginning, or as SCHEME://….",
            )
        address = parse_address(entry.target) if "://" in entry.target else None
        try:
            origin = None if entry.name is not None else address or base
            name: str = name_below(spec.dest, _label(spec, base, address, entry), origin)
        except UsageError:
            name = ""
        key = str(address or _joined(base, entry.target))
        validators = Validators(checksums=entry.checksums)
        yield Item(key, name, True, entry.size, validators, entry.headers)
    if index < 0 and not spec.allow_empty:
        raise NotFoundError(
            "the list has no objects", next_step="With --allow-empty an empty list is fine."
        )


def _refuse_low_limits(wanted: JobSpec) -> None:
    if 0 < wanted.limit < MIN_RATE:
        raise UsageError(
            f"a limit of {wanted.limit} bytes per second is too low: the lowest is {MIN_RATE}"
        )
    if 0 < wanted.limit_bph < MIN_HOURLY:
        raise UsageError(
            f"a limit of {wanted.limit_bph} bytes per hour is too low: the lowest is {MIN_HOURLY}"
        )


def _kind(address: Address, *, is_list: bool) -> tuple[SourceKind, str]:
    """What an address stands for, and the address as the job keeps it."""
    if is_list:
        return SourceKind.LIST, str(address)
    template = address_template(address)
    if template.ranges:
        return SourceKind.TEMPLATE, str(address)
    source = template[0]
    plain = parse_address(source)
    path, query = split_query(plain)
    _, slash, key = path.partition("/")
    if path.endswith("*"):
        return SourceKind.LISTING, str(Address(plain.scheme, path[:-1] + query))
    if path.endswith("/") or not (plain.is_local or (slash and key)):
        return SourceKind.LISTING, source
    return SourceKind.OBJECT, source


def _joined(base: Address, target: str) -> Address:
    """The address of an object that is given relative to a source."""
    path, query = split_query(base)
    slash = "" if path.endswith("/") else "/"
    if base.has_query:
        target = target.replace("@", "%40")  # no password ends there
    return Address(base.scheme, f"{path}{slash}{target}{query}")


def _label(spec: JobSpec, base: Address, address: Address | None, entry: ListedItem) -> str:
    if entry.name is not None:
        return entry.name
    label = path_label(address) if address else relative_label(base, entry.target)
    return label.rpartition("/")[2] if spec.flatten else label
