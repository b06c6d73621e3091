"""The page at `/jobs`: running and past jobs, live.

The page is the same for everyone and needs no token; its script asks for one, and requests what it
shows. It is one file: script and style are in it, and the policy allows those alone, by their
hashes, and requests to this server alone.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final

__all__ = ["JOBS_PAGE", "JOBS_POLICY"]


def _resource(name: str) -> str:
    return files("casync_server.pages").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_STYLE: Final = _resource("jobs.css")
_SCRIPT: Final = _resource("jobs.js")

JOBS_POLICY: Final = (
    f"default-src 'none'; script-src 'sha256-{_hash(_SCRIPT)}'; "
    f"style-src 'sha256-{_hash(_STYLE)}'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Content-Security-Policy of the page. No text can become markup or a script."""

JOBS_PAGE: Final = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Jobs: casync</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style>
<main>
<header><h1>Jobs</h1><button type="button" id="forget" hidden>Forget the token</button></header>
<noscript><p>This page needs JavaScript. <code>casync job ls</code> shows the same.</p></noscript>
<p id="message" class="bad" role="status" hidden></p>
<form id="login" hidden>
<label>A token of the scope jobs or admin
<input id="token" type="password" autocomplete="off" spellcheck="false" required></label>
<button>Show the jobs</button>
</form>
<div id="lists" hidden>
<section aria-labelledby="h-current"><h2 id="h-current">Running and waiting</h2>
<p id="no-current" class="soft">No job is running.</p><div id="current"></div></section>
<section aria-labelledby="h-past"><h2 id="h-past">Past</h2>
<p id="no-past" class="soft">No job has ended yet.</p><div id="past"></div></section>
</div>
</main>
<script>{_SCRIPT}</script>
</html>
"""
