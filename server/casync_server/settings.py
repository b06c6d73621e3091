"""Limits of the server, read from the environment only here.

Every limit that a client can reach is a field, so tests can lower it. docs/OPERATION.md lists all
variables; a test compares.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from casync.bucket.lease import LEASE_SECONDS
from casync.errors import UsageError
from casync.limits import GIB, KIB, MAX_JOB_CONNECTIONS, MAX_JOB_REQUEST_BYTES, MIB
from casync.wire.uploads import MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["PREFIX", "ServerSettings", "read_settings"]

PREFIX: Final = "CASYNC_SERVE_"

_LIST: Final = "docs/OPERATION.md lists all settings."
_BOUNDS: Final = {"ge": "at least", "gt": "more than", "le": "at most"}
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
}
_LISTS: Final = {
    "hosts": "a list of NAME or NAME:PORT, separated by commas or spaces",
    "job_clouds": "a list of NAMESPACE:s3, :gs or :az, separated by commas or spaces",
}
_HOST: Final = re.compile(r"(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)


_CLOUD: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}:(?:s3|gs|az)", re.ASCII)


def _words(value: str | Iterable[str], word: re.Pattern[str]) -> tuple[str, ...]:
    """A list, or a text split at commas and spaces, in lower case."""
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    found = tuple(each.lower() for each in words)
    if not all(map(word.fullmatch, found)):
        raise ValueError
    return found


def _hosts(value: str | Iterable[str]) -> tuple[str, ...]:
    """Hosts as a Host field has them."""
    return _words(value, _HOST)


def _clouds(value: str | Iterable[str]) -> tuple[str, ...]:
    """Namespaces with the clouds that are bound to them."""
    return _words(value, _CLOUD)


class ServerSettings(BaseSettings):
    """Limits of one worker, from `CASYNC_SERVE_<FIELD>`.

    Attributes:
        hosts: Further Host values to accept, for tunnels and proxies: `NAME` or `NAME:PORT`,
            separated by commas or spaces.
        drain: Seconds for which `/readyz` answers 503 before the listeners close.
        threads: Threads that read the store. With more, they and the event loop wait for the
            interpreter instead of the disk.
        piece_bytes: Bytes written to the socket at a time, if `stream_bytes` allows it.
        stream_bytes: Bytes of memory for all answers in progress, until the kernel has taken them.
            One address holds at most a quarter; with more answers, pieces get smaller.
        header_bytes: Bytes of a request line with its header fields.
        header_fields: Header fields of a request.
        header_seconds: Seconds from a connection, or from the first byte of a request, to its body;
            also for the TLS handshake before that.
        idle_seconds: Seconds between two requests on a connection.
        body_bytes: Largest body of a request in bytes: a list of ids with slack.
        write_threads: Threads that verify received objects and write to the store.
        upload_bytes: Largest body of objects in bytes.
        push_bodies: Bodies of objects that a worker receives at once.
        push_bytes: Bytes of memory for these bodies, besides one object each.
        push_wait: Seconds that a further body may wait for a slot, or a long list of objects.
        prove_seconds: Seconds that a request spends on the proof of a manifest before it answers.
        bucket_cache: Bytes of chunks of a bucket that a worker keeps in memory.
        lease_seconds: Seconds of silence after which the host that runs a job over a bucket counts
            as dead.
        disk_spare: Bytes that pushes and jobs leave free on the disk; at most a twentieth of it.
        jobs: Download jobs that run at once, with `--jobs`.
        job_connections: Connections that one job may use.
        jobs_connections: Connections of all jobs together. Each gets an equal share, and at least
            one.
        job_bytes: Largest request for a job, or with a part of its list of objects, in bytes.
        job_clouds: Clouds that jobs may use with the server's credentials, for each namespace:
            `NAMESPACE:s3`, `NAMESPACE:gs` or `NAMESPACE:az`, separated by commas or spaces.
        event_streams: Streams of events that a worker sends at once.
        delta_cpu: CPUs that a worker uses for deltas in the long run. Beyond that, it sends plain
            frames.
        delta_reserve: CPU seconds that can accumulate for deltas.
        delta_client_cpu: As `delta_cpu`, for one address (for IPv6, one /64).
        delta_client_reserve: As `delta_reserve`, for one address.
        stall_seconds: Seconds that a client may stall, in both directions, before `rate` applies.
        walk_cpu: CPU seconds that a request may spend on one read of a folder or a listing, or on
            one piece of an answer.
        rate: Bytes per second that a client must send or read.
        pipeline: Requests that may wait behind the one being answered.
        connections: Connections of a worker, including those in a TLS handshake.
        address_connections: Connections of a worker from one address (for IPv6, one /64).
        client_requests: Concurrent requests of a client (one address, or one token) in a worker.
        client_rate: Requests per second of a client in the long run.
        client_burst: Requests that a client may send at once after a pause.
        client_cpu: CPUs that a client uses of a worker in the long run, while others have requests.
        client_reserve: CPU seconds that a client can accumulate.
        client_wait: Seconds that a request is delayed at most to keep these limits; beyond that, it
            is refused.
        linger_seconds: Seconds that a refused client may still send, so it can read the answer.
        tick_seconds: Seconds between checks of each connection.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, allow_inf_nan=False
    )

    hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)] = ()
    drain: float = Field(default=0.0, ge=0)
    threads: int = Field(default=4, ge=1, le=512)
    piece_bytes: int = Field(default=2 * MIB, ge=KIB)
    stream_bytes: int = Field(default=128 * MIB, ge=MIB)
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
    bucket_cache: int = Field(default=64 * MIB, ge=0)
    lease_seconds: int = Field(default=LEASE_SECONDS, ge=1, le=3600)
    disk_spare: int = Field(default=5 * GIB, ge=0)
    jobs: int = Field(default=2, ge=1, le=64)
    job_connections: int = Field(default=32, ge=1, le=MAX_JOB_CONNECTIONS)
    jobs_connections: int = Field(default=64, ge=1)
    job_bytes: int = Field(default=MAX_JOB_REQUEST_BYTES, ge=0)
    job_clouds: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_clouds)] = ()
    event_streams: int = Field(default=64, ge=0)
    delta_cpu: float = Field(default=1.0, ge=0)
    delta_reserve: float = Field(default=60.0, ge=0)
    delta_client_cpu: float = Field(default=0.25, ge=0)
    delta_client_reserve: float = Field(default=20.0, ge=0)
    stall_seconds: float = Field(default=10.0, gt=0)
    rate: int = Field(default=8 * KIB, ge=1)
    walk_cpu: float = Field(default=30.0, gt=0)
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


def read_settings() -> ServerSettings:
    """The settings in the environment.

    Raises:
        UsageError: One is invalid, or a variable has the prefix but is not a setting.
    """
    for variable in sorted(os.environ):
        field = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and field not in ServerSettings.model_fields:
            near = get_close_matches(field, ServerSettings.model_fields, n=1)
            raise UsageError(
                f"{variable} is not a setting of the server",
                next_step=f"Did you mean {PREFIX}{near[0].upper()}?" if near else _LIST,
            )
    try:
        return ServerSettings()
    except ValidationError as error:
        raise UsageError("; ".join(map(_cause, error.errors())), next_step=_LIST) from error


def _cause(details: ErrorDetails) -> str:
    """What is wrong with one setting: its variable, and the bound or type that it breaks."""
    variable = PREFIX + str(details["loc"][0]).upper()
    bounds = details.get("ctx", {})
    for key, words in _BOUNDS.items():
        if key in bounds:
            return f"{variable} must be {words} {bounds[key]}, not {details['input']}"
    kind = details["type"].partition("_")[0]
    wanted = _LISTS[str(details["loc"][0])] if kind == "value" else _KINDS[kind]
    return f"{variable} must be {wanted}, not {details['input']}"
