"""The names that the objects of a job get.

A label is what names an object at its source, decoded: its path from the first component that
varies, its key below the prefix of a listing, or its last component. It is percent-encoded into a
name below the destination, so distinct labels have distinct names. The label of a name of another
casync is that name, which is not encoded again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote, unquote

from casync.errors import UsageError
from casync.jobs.address import Address, parse_address, redacted, split_query
from casync.jobs.template import Template
from casync.names.name import Name, escape_name, parse_name

__all__ = [
    "address_below",
    "as_sent",
    "below_prefix",
    "encode_path",
    "label_template",
    "last_label",
    "name_below",
    "path_label",
    "percent_decoded",
    "relative_label",
]

_NOT_ENCODED: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_HALF_ENCODED: Final = re.compile("%[0-9A-Fa-f]?$")
_END_OF_PATH: Final = re.compile("[?#]")
_LITERAL: Final = "/!$&'()*,=:@"
"""What stays as it is in the path of a key, besides letters, digits and `_.-~`."""
_UNSENDABLE: Final = re.compile("[^\x21-\x7e]+")
"""What no request line can hold."""


def name_below(dest: str, label: str, source: Address | None = None) -> Name:
    """The name of an object.

    Args:
        dest: The destination: empty, or a folder of names with its slash.
        label: The object's label. The slash before or after an empty component (`a//b`) is
            percent-encoded, too, because names have no empty components.
        source: The address that the label is from, if from any.

    Raises:
        UsageError: The label is empty, or the name is too long.
    """
    if not label:
        raise UsageError("an object at the root of its source has no name")
    if source is not None and source.names_manifests:
        kept = label.replace("@", "%40")  # which begins a version
        with suppress(UsageError):  # as of one that may only be further inside a name
            return parse_name(dest + kept)
        label = percent_decoded(label)
    if "//" in label or label[0] == "/" or label[-1] == "/":
        return parse_name(dest + _with_encoded_slashes(dest, label.split("/")))
    return escape_name(label, dest)


def percent_decoded(text: str) -> str:
    """Text with its percent-encoding undone; bytes that are not UTF-8 become surrogates."""
    return unquote(text, errors="surrogateescape")


def below_prefix(prefix: str, key: str, *, flatten: bool = False) -> str:
    """The label of a listed key: what follows the last slash of the prefix that was listed.

    Args:
        prefix: The prefix.
        key: The key, which begins with it.
        flatten: Whether the label is the last component only.
    """
    return key[(key if flatten else prefix).rfind("/") + 1 :]


def encode_path(key: str) -> str:
    """A key in percent-encoding, as the path of a URL."""
    return quote(key, safe=_LITERAL, errors="surrogateescape")


def address_below(folder: str, key: str) -> str:
    """The address of a key below a folder.

    Args:
        folder: The address of the folder, without a slash at its end.
        key: The key; in the address of a URL it is percent-encoded.
    """
    address = _split(folder)
    path, query = split_query(address)
    key = encode_path(key) if address.has_query else key
    return str(address._replace(rest=f"{path}/{key}{query}"))


def as_sent(text: str) -> str:
    """An address as a request has it: of a URL, what no request can hold is percent-encoded."""
    if not _split(text).has_query:
        return text
    return _UNSENDABLE.sub(lambda part: quote(part[0], errors="surrogateescape"), text)


def last_label(address: Address) -> str:
    """The label of a single object: its last component, without query, percent-decoded in URLs.

    Raises:
        UsageError: It has none, or is not validly encoded, or leads out of its folder.
    """
    path = _path(address)
    last = path.rpartition("/")[2]
    if not last:
        raise UsageError(
            f"{redacted(str(address))} has no last component to be a name",
            next_step="Write the whole name as the destination.",
        )
    return _label(address, last)


def path_label(address: Address) -> str:
    """The label of an object that is given by an address of its own: its path. Raises as above."""
    path = _path(address)
    if not path or path.endswith("/"):
        return last_label(address)
    return _label(address, path.lstrip("/") if address.is_local else path)


def relative_label(base: Address, target: str) -> str:
    """The label of an object that is given relative to a source: its path. Raises as above."""
    return _label(base, split_query(Address(base.scheme, target))[0])


def label_template(template: Template, address: Address, *, flatten: bool) -> Template:
    """The labels of the objects of a template, by the same indices.

    Args:
        template: The template of addresses.
        address: The address that it was read from.
        flatten: Whether labels are last components only. Otherwise they begin with the first
            component that varies.

    Raises:
        UsageError: Objects would get the same label because what varies is not in it, or labels
            are not validly encoded, or lead out of their folder.
    """
    shown = redacted(str(address))
    if not template.ranges:
        return Template(last_label(parse_address(template.prefix)), ())
    texts, ranges = [template.prefix, *(part.gap for part in template.ranges)], template.ranges
    if not address.is_local and "@" in template.prefix.partition("://")[2].rpartition("/")[2]:
        raise UsageError(f"{shown}: a host that varies and a user do not go together")
    if address.has_query:
        texts = list(_before_query(texts))
    first = 0
    if flatten:
        first = max((index for index, text in enumerate(texts) if "/" in text), default=0)
    texts = texts[first:]
    texts[0] = texts[0].rpartition("/")[2]
    kept = slice(first, first + len(texts) - 1)
    if any(part.length > 1 for part in (*ranges[: kept.start], *ranges[kept.stop :])):
        what = "--flatten leaves out" if flatten else "a query has"
        raise UsageError(f"{shown}: {what} what varies, so several objects would have one name")
    if texts[-1].endswith("/"):
        raise UsageError(f"{shown}: a template makes objects, not folders")
    parts = zip(ranges[kept], texts[1:], strict=True)
    labels = Template(
        _decoded(address, texts[0]),
        tuple(part._replace(gap=_decoded(address, text)) for part, text in parts),
    )
    if address.has_query and any(_HALF_ENCODED.search(text) for text in texts[:-1]):
        raise UsageError(f"{shown}: a range is inside a percent-encoded character")
    _refuse_dots(address, labels[0])
    return labels


def _before_query(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        found = _END_OF_PATH.search(text)
        yield text[: found.start()] if found else text
        if found:
            return


def _with_encoded_slashes(dest: str, components: list[str]) -> str:
    """The components joined by slashes, encoded where one beside them is empty."""
    name = ""
    for index, component in enumerate(components):
        if index:
            name += "/" if component and name else "%2F"
        name += (
            _escape_inner(component) if dest or index or not component else escape_name(component)
        )
    return name


def _escape_inner(label: str) -> str:
    """`label` percent-encoded where a name goes on."""
    return escape_name(label, "x/")[2:] if label else ""


def _split(text: str) -> Address:
    """An address for people; anything is one."""
    scheme, slashes, rest = text.partition("://")
    return Address(scheme.lower(), rest) if slashes and "/" not in scheme else Address("", text)


def _path(address: Address) -> str:
    """What follows the authority, or the whole path of a local address; without query."""
    rest, _ = split_query(address)
    return rest if address.is_local else rest.partition("/")[2]


def _label(address: Address, text: str) -> str:
    label = _decoded(address, text)
    _refuse_dots(address, label)
    return label


def _decoded(address: Address, text: str) -> str:
    if not address.has_query:
        return text
    if _NOT_ENCODED.search(text):
        raise UsageError(f"{redacted(str(address))} has a % that encodes no byte")
    return percent_decoded(text)


def _refuse_dots(address: Address, label: str) -> None:
    leads = address.has_query or address.is_local  # in buckets dots are characters of a key
    if not label or (leads and {".", ".."} & set(label.split("/"))):
        raise UsageError(f"{redacted(str(address))} leads out of its folder, or names nothing")
