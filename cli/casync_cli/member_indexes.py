"""Where commands keep the indexes of archives: in a folder of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync_cli.invocation import Invocation

if TYPE_CHECKING:
    from casync.fs.index_folder import IndexFolder

__all__ = ["member_indexes"]


def member_indexes(invocation: Invocation) -> IndexFolder:
    """The indexes of the local store, those of archives on servers included."""
    from casync.fs.index_folder import IndexFolder

    return IndexFolder.of_store(invocation.store_path)
