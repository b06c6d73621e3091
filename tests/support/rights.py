"""What only root may try. Elsewhere such a case is counted as skipped in pytest's last line."""

import os
from typing import Final

import pytest

__all__ = ["ROOT", "needs_root"]

ROOT: Final = os.geteuid() == 0

needs_root: Final = pytest.mark.skipif(not ROOT, reason="only root can do this")
