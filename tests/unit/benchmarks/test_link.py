from __future__ import annotations

import asyncio

from benchmarks.link import MBIT, Lane, Link


def test_a_lane_sends_in_order_at_its_rate() -> None:
    now = [100.0]
    lane = Lane(1000.0, 0.5, lambda: now[0])
    assert lane.send(1000) == 101.5
    assert lane.send(500) == 102.0
    assert lane.behind == 1.5
    now[0] = 110.0
    assert lane.behind == 0.0
    assert lane.send(100) == 110.6
    assert lane.bytes == 1600


def test_a_lane_without_a_rate_only_delays() -> None:
    lane = Lane(None, 0.02, lambda: 5.0)
    assert lane.send(1 << 30) == 5.02
    assert lane.behind == 0.0


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.write_eof()
    writer.close()


async def _through(link: Link, port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def _exchange(rate: float | None, round_trip: float, sizes: list[int]) -> tuple[Link, float]:
    """Sends data of each size, all at once, each over its own connection."""
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    host, there = server.sockets[0].getsockname()
    link = Link(host, there, rate, round_trip)
    port = await link.start()
    wanted = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    started = loop.time()
    answers = await asyncio.gather(*[_through(link, port, data) for data in wanted])
    seconds = loop.time() - started
    assert answers == wanted
    await link.stop()
    server.close()
    return link, seconds


def test_everything_arrives_and_is_counted_both_ways() -> None:
    link, _ = asyncio.run(_exchange(None, 0.0, [0, 1, 70_000, 300_000]))
    assert link.up.bytes == link.down.bytes == 370_001
    assert link.connections == 4


def test_connections_share_the_rate_and_nothing_is_faster_than_the_link() -> None:
    _, seconds = asyncio.run(_exchange(100 * MBIT, 0.02, [500_000, 500_000]))
    # All of it through one lane, and a round trip for the handshake; the way back overlaps.
    assert seconds >= 1_000_000 / (100 * MBIT) + 0.02


def test_an_unreachable_target_closes_the_connection() -> None:
    async def run() -> bytes:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        server.close()
        await server.wait_closed()
        link = Link(host, port, None, 0.0)
        try:
            return await _through(link, await link.start(), b"")
        finally:
            await link.stop()

    assert asyncio.run(run()) == b""


def test_a_client_that_hangs_up_is_passed_on() -> None:
    async def run() -> bytes:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.set_result(await reader.read())
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        host, there = server.sockets[0].getsockname()
        link = Link(host, there, None, 0.0)
        _, writer = await asyncio.open_connection("127.0.0.1", await link.start())
        writer.write(b"half")
        await writer.drain()
        writer.close()
        said = await heard
        await link.stop()
        server.close()
        return said

    assert asyncio.run(run()) == b"half"
