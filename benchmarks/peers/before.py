"""An earlier command of this project, for ratios against what it was."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.peers.ours import Ours
from benchmarks.update_targets import BEFORE


class Before(Ours):
    """The command that `--before` names."""

    name: ClassVar[str] = BEFORE

    def __init__(self, binary: Path) -> None:
        super().__init__(binary=binary)
