"""The listing of a folder as HTML, for browsers."""

from __future__ import annotations

from html import escape
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from casync.wire.documents import TreePage
from casync_server.reading.tree_path import TreePath

__all__ = ["tree_listing"]


def tree_listing(place: TreePath, page: TreePage) -> str:
    """A page of links, without scripts and styles."""
    path = [quote_from_bytes(name, safe="") for name in place.names]
    here = "/".join([f"{place.up}trees/{quote(place.ref)}/-", *path])
    files = "/".join([f"{place.up}files/{quote(place.ref)}/-", *path])
    title = escape("/".join([place.ref, *map(_shown, path)]))
    rows = []
    if path:
        rows.append(f'<li><a href="{escape(here.rpartition("/")[0])}/">..</a></li>')
    for item in page.entries:
        label = escape(_shown(item.name))
        if item.kind == "folder":
            rows.append(f'<li><a href="{escape(here)}/{escape(item.name)}/">{label}/</a></li>')
        elif item.kind == "file":
            link = f'<a href="{escape(files)}/{escape(item.name)}">{label}</a>'
            rows.append(f"<li>{link} {item.length}</li>")
        else:
            rows.append(f"<li>{label} ({escape(item.kind)})</li>")
    if page.more:
        last = quote(page.entries[-1].name, safe="")
        rows.append(f'<li><a href="{escape(here)}/?after={last}">more</a></li>')
    listing = "\n".join(rows)
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1><ul>\n{listing}\n</ul></body></html>\n"
    )


def _shown(name: str) -> str:
    """An encoded name for people; it stays encoded if it is not printable text."""
    try:
        shown = unquote_to_bytes(name).decode()
    except UnicodeDecodeError:
        return name
    return shown if shown.isprintable() else name
