"""A folder while it is pulled: where files grow, and how they come to their places."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from casync.fs.os_errors import writing_inside
from casync.fs.target.publish import PublishQueue
from casync.fs.target.staging import Staging
from casync.ops.pull_folder.plan import FolderOptions, FolderPlan

__all__ = ["FolderPlace"]


class FolderPlace:
    """What both walks of a pull work with.

    Args:
        root: The open, locked folder.
        path: Its path, for people.
        plan: Is told what has moved to its place.
        options: Whether folders in the way may be removed.

    Attributes:
        root: The same.
        path: The same.
        staging: Where files grow.
        publish_queue: Moves them.
    """

    def __init__(self, root: int, path: Path, plan: FolderPlan, options: FolderOptions) -> None:
        self.root = root
        self.path = path
        self.staging = Staging(root, path)
        self.publish_queue = PublishQueue(
            root, path, self.staging, plan.note, replace_folders=options.delete
        )

    def writing(self, path: bytes) -> AbstractContextManager[None]:
        """Translates what goes wrong while something at `path` in the folder is written.

        Raises:
            WriteError, NoSpaceError: As `casync.fs.os_errors.writing`.
        """
        return writing_inside(self.path, path)

    def close(self) -> None:
        """Lets go. What is in the staging folder stays for the next run."""
        self.publish_queue.close()
        self.staging.close()
