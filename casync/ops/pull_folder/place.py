"""The target folder of a pull, with its staging folder and its publish queue."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from casync.fs.os_errors import writing_inside
from casync.fs.target.publish import PublishQueue
from casync.fs.target.staging import Staging
from casync.ops.pull_folder.plan import FolderOptions, FolderPlan

__all__ = ["FolderPlace"]


class FolderPlace:
    """The target folder, as both walks of a pull use it.

    Args:
        root: Descriptor of the open, locked folder.
        path: Its path, for messages.
        plan: Notes what moved to its place.
        options: With `delete`, folders in the way are removed.

    Attributes:
        root: Descriptor of the folder.
        path: Its path.
        staging: The staging folder, where files are written.
        publish_queue: Moves finished files to their places.
    """

    def __init__(self, root: int, path: Path, plan: FolderPlan, options: FolderOptions) -> None:
        self.root = root
        self.path = path
        self.staging = Staging(root, path)
        self.publish_queue = PublishQueue(
            root, path, self.staging, plan.note, replace_folders=options.delete
        )

    def writing(self, path: bytes) -> AbstractContextManager[None]:
        """Translates errors of writing to `path` in the folder.

        Raises:
            WriteError, NoSpaceError: As `casync.fs.os_errors.writing`.
        """
        return writing_inside(self.path, path)

    def close(self) -> None:
        """Closes the folder. The content of the staging folder stays for the next run."""
        self.publish_queue.close()
        self.staging.close()
