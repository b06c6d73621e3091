"""The page at `/`, for people who open the address of a server in a browser.

It is the same on every server and for everyone: it needs no token and shows nothing of the store.
"""

from __future__ import annotations

from typing import Final

from casync_server.pages.frame import frame

__all__ = ["FRONT_PAGE"]

FRONT_PAGE: Final = frame(
    "A server of casync",
    "<p>It holds files and folders for the program <code>casync</code>, which fetches only the "
    "chunks that a machine lacks.</p>"
    "<pre>casync ls --server URL\ncasync pull NAME -o FILE --server URL</pre>"
    "<p>URL is the address of this page. NAME is a name that <code>ls</code> lists, or a hash. "
    "If the server requires a token, add <code>--token-file FILE</code>.</p>"
    "<p>Downloads that it runs: <a href=jobs>jobs</a>.</p>"
    "<p>For programs: <a href=docs>the requests</a>. Where a token is required, that page needs "
    "it, too.</p>",
)
"""The page as HTML. Its links are relative: a server may be mounted below a path prefix."""
