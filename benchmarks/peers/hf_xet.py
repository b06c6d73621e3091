"""hf-xet, the client of Hugging Face's storage. Without that service it cuts and hashes only."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmarks.cache import cache_folder
from benchmarks.measure import Command
from benchmarks.peers.contender import Contender, Place
from benchmarks.peers.tool import Found, Tool, find


class HfXet(Contender):
    """`hf_xet.hash_files`, in a virtual environment of its own in the cache."""

    name: ClassVar[str] = "hf-xet, cut and hash only"
    tool: ClassVar[Tool] = Tool(
        "python",
        r"^hf-xet (\S+)",
        "python3 -m venv FOLDER && FOLDER/bin/pip install hf-xet, FOLDER being hf-xet in the cache",
        ("-c", "import importlib.metadata as m; print('hf-xet', m.version('hf-xet'))"),
    )

    def __init__(self) -> None:
        super().__init__(_found())

    def prepare(self, source: Path, place: Place) -> Command:
        """Cuts and hashes; stores nothing."""
        code = "import sys, hf_xet; print(hf_xet.hash_files(sys.argv[1:])[0].hash)"
        env = {"HF_HOME": str(place.local)}
        return Command((self.binary, "-c", code, source), env=env, limit=self.limit)


def _found() -> Found:
    return find(HfXet.tool, [cache_folder() / "hf-xet" / "bin"])
