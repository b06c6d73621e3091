"""Simulates a slow link on one machine: a relay with a bandwidth and a delay.

What is sent on one connection or on many shares one bandwidth each way, and arrives half a round
trip after it has left. A connection costs a round trip before its first byte, as TCP's handshake
does. Slow start and loss are not modelled. Both ways are counted at the socket, payload bytes
only.

`python benchmarks/link.py 127.0.0.1:8080` listens on a free port of 127.0.0.1 and says so in a
line of JSON on stdout; at SIGTERM it says in another one what flowed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from typing import Final

MBIT: Final = 1_000_000 / 8
PIECE_BYTES: Final = 16 * 1024
"""Bytes sent together: the unit in which connections share the link."""

IN_FLIGHT: Final = 256
"""Pieces of a connection that are sent but not delivered: a window of 4 MiB."""

QUEUE_SECONDS: Final = 0.02
"""Seconds of queued data before the link stops reading: a router's buffer."""


class Lane:
    """One direction of the link.

    Args:
        rate: Bytes per second; None for no limit.
        delay: Seconds from sending a byte to its arrival.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: float | None, delay: float, clock: Callable[[], float]) -> None:
        self.delay = delay
        self.bytes = 0
        self._rate = rate
        self._clock = clock
        self._free_at = 0.0

    def send(self, count: int) -> float:
        """Queues `count` bytes; returns their arrival time."""
        self.bytes += count
        self._free_at = max(self._free_at, self._clock())
        if self._rate is not None:
            self._free_at += count / self._rate
        return self._free_at + self.delay

    @property
    def behind(self) -> float:
        """Seconds until everything queued is sent."""
        return max(self._free_at - self._clock(), 0.0)


class Link:
    """Relays connections to one address. Start it in a running loop.

    Args:
        host: Target host.
        port: Target port.
        rate: Bytes per second in each direction; None for no limit.
        round_trip: Seconds of a round trip.
    """

    def __init__(self, host: str, port: int, rate: float | None, round_trip: float) -> None:
        self._target = (host, port)
        self._round_trip = round_trip
        clock = asyncio.get_running_loop().time
        self.up = Lane(rate, round_trip / 2, clock)
        self.down = Lane(rate, round_trip / 2, clock)
        self.connections = 0
        self._running: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listens on `port` of 127.0.0.1, or on a free one; returns it."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Aborts all connections."""
        assert self._server is not None
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._connect(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(
                self._relay(reader, back, self.up, self._round_trip),
                self._relay(there, writer, self.down, 0.0),
            )
        except* OSError:
            pass  # one side disconnected; the other is closed below
        finally:
            back.close()
            writer.close()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lane: Lane,
        handshake: float,
    ) -> None:
        """Relays one direction of a connection: reads queue on the link, writes wait."""
        await asyncio.sleep(handshake)
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            group.create_task(_deliver(due, writer))
            data = b"-"
            while data:
                await asyncio.sleep(max(lane.behind - QUEUE_SECONDS, 0.0))
                data = await reader.read(PIECE_BYTES)
                await due.put((lane.send(len(data)), data))


async def _deliver(due: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """Writes each piece when it arrives; an empty one is the end."""
    clock = asyncio.get_running_loop().time
    while True:
        arrival, data = await due.get()
        await asyncio.sleep(max(arrival - clock(), 0.0))
        if not data:
            break
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def run(host: str, port: int, rate: float | None, round_trip: float, here: int) -> None:
    """Relays from port `here` until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    link = Link(host, port, rate, round_trip)
    print(json.dumps({"port": await link.start(here)}), flush=True)
    await stop.wait()
    await link.stop()
    counts = {"sent": link.up.bytes, "received": link.down.bytes, "connections": link.connections}
    print(json.dumps(counts), flush=True)


def main() -> int:
    """Runs the relay."""
    parser = argparse.ArgumentParser(description="a slow link to a server of this machine")
    parser.add_argument("target", help="HOST:PORT")
    parser.add_argument("--mbit", type=float, default=100.0, help="each way; 0 is unlimited")
    parser.add_argument("--rtt-ms", type=float, default=40.0)
    parser.add_argument("--port", type=int, default=0, help="to listen on; any free one if 0")
    options = parser.parse_args()
    host, _, port = options.target.rpartition(":")
    rate = options.mbit * MBIT or None
    asyncio.run(run(host, int(port), rate, options.rtt_ms / 1000, options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
