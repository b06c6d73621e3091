"""The limits of the server, and the only place that reads the environment for them.

Every bound that a client can run into is a field here, so that tests can shrink it. Must not know
where the values are used.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from casync.limits import GIB, KIB, MIB
from casync.wire.uploads import MAX_UPLOAD_BYTES

__all__ = ["ServerSettings"]


class ServerSettings(BaseSettings):
    """Limits of one worker, from `CASYNC_SERVE_<FIELD>`.

    Attributes:
        hosts: Further Host values to answer, for tunnels and proxies, as `NAME:PORT`.
        drain: Seconds during which `/readyz` says no before the listeners close.
        threads: Threads that read the store. More of them wait for the interpreter, not for the
            disk, and the event loop with them.
        piece_bytes: Bytes handed to the socket at a time while memory allows it.
        stream_bytes: Bytes that all answers under way may hold together; more of them at once
            get smaller pieces.
        header_bytes: Bytes of a request's line and fields.
        header_fields: Fields of a request.
        header_seconds: From the first byte of a request, or from the connection, to its body.
        idle_seconds: Between two requests on a connection.
        body_bytes: Bytes of the largest body that a route takes: a list of ids and some room.
        write_threads: Threads that prove what is sent, and write it to the store.
        upload_bytes: Bytes of the largest body of objects, which one route takes.
        push_bodies: Bodies of objects that are received at once, in a worker.
        push_bytes: Bytes that these may hold together, besides an object each.
        push_wait: Seconds that one more of them may wait for its turn.
        prove_seconds: How long a request looks through a manifest before it answers.
        disk_spare: Bytes of the disk that pushes leave free; at most a twentieth of it.
        delta_cpu: CPUs that packing deltas may keep busy for good, in a worker. More is answered
            with plain frames.
        delta_reserve: CPU seconds that may be saved up for deltas.
        delta_client_cpu: The same as `delta_cpu`, of one address (of IPv6, of one /64).
        delta_client_reserve: The same as `delta_reserve`, of one address.
        stall_seconds: Seconds that a client may be slow before its rate counts, both ways.
        rate: Bytes per second that a client must send or take.
        pipeline: Requests that may wait behind the one that is answered.
        connections: Connections of a worker.
        address_connections: Connections of a worker from one address (of IPv6, from one /64).
        client_requests: Requests of one address, and of one token, that a worker answers at once.
        client_rate: Requests per second that each of these may send for good, to a worker.
        client_burst: Requests that each may send at once after a rest.
        client_cpu: CPUs that each may keep busy for good, in a worker, while others want some.
        client_reserve: CPU seconds that each may save up.
        client_wait: Seconds that a request is held back to keep to these, at most; beyond, it is
            refused.
        linger_seconds: How long a refused client may still send, so that it can read the answer.
        tick_seconds: How often each connection is looked at.
    """

    model_config = SettingsConfigDict(env_prefix="CASYNC_SERVE_", frozen=True)

    hosts: tuple[str, ...] = ()
    drain: float = Field(default=0.0, ge=0)
    threads: int = Field(default=4, ge=1, le=512)
    piece_bytes: int = Field(default=2 * MIB, ge=KIB)
    stream_bytes: int = Field(default=128 * MIB, ge=KIB)
    header_bytes: int = Field(default=32 * KIB, ge=KIB)
    header_fields: int = Field(default=100, ge=1)
    header_seconds: float = Field(default=10.0, gt=0)
    idle_seconds: float = Field(default=30.0, gt=0)
    body_bytes: int = Field(default=192 * KIB, ge=0)
    write_threads: int = Field(default=4, ge=1, le=512)
    upload_bytes: int = Field(default=MAX_UPLOAD_BYTES, ge=0)
    push_bodies: int = Field(default=16, ge=1)
    push_bytes: int = Field(default=192 * MIB, ge=KIB)
    push_wait: float = Field(default=10.0, gt=0)
    prove_seconds: float = Field(default=5.0, ge=0)
    disk_spare: int = Field(default=5 * GIB, ge=0)
    delta_cpu: float = Field(default=1.0, ge=0)
    delta_reserve: float = Field(default=60.0, ge=0)
    delta_client_cpu: float = Field(default=0.25, ge=0)
    delta_client_reserve: float = Field(default=20.0, ge=0)
    stall_seconds: float = Field(default=10.0, gt=0)
    rate: int = Field(default=8 * KIB, ge=1)
    pipeline: int = Field(default=16, ge=0)
    connections: int = Field(default=1000, ge=1)
    address_connections: int = Field(default=256, ge=1)
    client_requests: int = Field(default=256, ge=1)
    client_rate: float = Field(default=1000.0, gt=0)
    client_burst: float = Field(default=10000.0, ge=1)
    client_cpu: float = Field(default=0.5, ge=0)
    client_reserve: float = Field(default=30.0, ge=0)
    client_wait: float = Field(default=5.0, ge=0)
    linger_seconds: float = Field(default=1.0, ge=0)
    tick_seconds: float = Field(default=0.5, gt=0)
