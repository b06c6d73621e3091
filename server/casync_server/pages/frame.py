"""The frame of the pages: one file each, without scripts and resources from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

__all__ = ["PAGE_POLICY", "frame"]

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}"
    "pre{background:#8881;padding:.75rem;overflow-x:auto}"
    "details{border:1px solid #8884;border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}"
    "summary{cursor:pointer}summary b{display:inline-block;min-width:3.5rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.15rem 1rem .15rem 0;"
    "vertical-align:top}:root{color-scheme:light dark}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

PAGE_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy of a page: allows only its own style."""


def frame(title: str, body: str) -> str:
    """A page.

    Args:
        title: Its title, as text.
        body: What follows the title, as HTML.
    """
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
