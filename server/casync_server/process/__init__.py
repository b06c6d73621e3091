"""The processes of a server: supervisor, workers, garbage collection.

None needs httpx's own command line, which would import rich and pygments.
"""

import sys

if "httpx" not in sys.modules:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
