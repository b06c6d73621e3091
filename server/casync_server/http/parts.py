"""An ASGI extension: a body sent as a list of buffers, without joining them.

Joining the parts of a piece, and joining them again with HTTP's chunk framing, takes four times the
CPU time of the socket write (measured with pieces of 1 MiB). A server that supports the extension
lists it in the scope; the application may then send `PARTS` messages between the start of an answer
and its last body message.
"""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from casync.ids import Buffer

__all__ = ["EXTENSION", "PARTS", "PartsMessage"]

EXTENSION: Final = "casync.response.parts"

PARTS: Final = "casync.response.parts"
"""Type of the message."""


class PartsMessage(TypedDict):
    """More bytes of a body, in order. A body message always follows."""

    type: Literal["casync.response.parts"]
    parts: list[Buffer]
