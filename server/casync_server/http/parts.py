"""An ASGI extension: a body sent as a list of buffers that nobody joins.

Joining the parts of a piece, and once more with the lengths of HTTP's chunks around it, costs four
times the processor that the socket does (measured with pieces of 1 MiB). A server that can write
several buffers at once says so in the extensions of the scope; the application then may send
`PARTS` messages between the start of an answer and its last body message.
"""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from casync.ids import Buffer

__all__ = ["EXTENSION", "PARTS", "PartsMessage"]

EXTENSION: Final = "casync.response.parts"

PARTS: Final = "casync.response.parts"
"""Type of the message."""


class PartsMessage(TypedDict):
    """More bytes of a body, in order. There is always a body message after it."""

    type: Literal["casync.response.parts"]
    parts: list[Buffer]
