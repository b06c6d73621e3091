"""What a client wants to read: documents for programs, or pages for people."""

from __future__ import annotations

from typing import Final

__all__ = ["HTML_TYPE", "wants_html"]

HTML_TYPE: Final = "text/html"


def wants_html(accept: str) -> bool:
    """Whether HTML is named first, as browsers do. Programs that accept anything get JSON.

    Args:
        accept: The Accept field of a request.
    """
    return accept.partition(",")[0].partition(";")[0].strip().lower() == HTML_TYPE
