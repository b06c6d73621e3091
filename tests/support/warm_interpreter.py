"""An interpreter that has imported the program, and forks for each run of it.

`python -m tests.support.warm_interpreter DESCRIPTOR` takes orders from a socket until it is closed.
An order is a JSON document with the arguments, the folder and the environment, and comes with four
descriptors: the streams of the run, and a pipe that is told its pid and its status, a line each.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import selectors
import socket
import sys
from contextlib import suppress
from types import ModuleType

import casync_cli
from casync_cli.start import run

import casync

_STREAMS = 3

_LEFT_OUT = ("casync.torch", "casync.training", "casync_cli.__main__", "casync_cli.commands.serve")
"""What few runs use."""


def import_all(package: ModuleType) -> None:
    """Imports the modules of a package, but those that few runs use."""
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith(_LEFT_OUT):
            importlib.import_module(module.name)


def fork_for_orders(orders: socket.socket) -> None:
    """Forks for each order; returns in forks, which are ready to run the program."""
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                selector.unregister(key.fd)
                os.close(key.fd)
                report_end(*key.data)
                continue
            order, descriptors, _, _ = socket.recv_fds(orders, 1 << 20, _STREAMS + 1)
            if not order:
                sys.exit()
            *streams, report = descriptors
            pid = os.fork()
            if not pid:
                become(order, streams)
                selector.close()
                orders.detach()
                os.closerange(_STREAMS, 1024)
                return
            os.write(report, b"%d\n" % pid)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, report))
            for descriptor in streams:
                os.close(descriptor)


def report_end(pid: int, report: int) -> None:
    """Tells how a fork has ended."""
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # a run that took too long has been given up
        os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
    os.close(report)


def become(order: bytes, streams: list[int]) -> None:
    """Gives this process the streams, the folder, the environment and the arguments of a run."""
    document = json.loads(order)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.chdir(document["folder"])
    os.environ.clear()
    os.environ.update(document["environment"])
    sys.argv[1:] = document["arguments"]


if __name__ == "__main__":
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # as in casync_cli/start.py
    import_all(casync)
    import_all(casync_cli)
    assert len(os.listdir("/proc/self/task")) == 1, "an import has started a thread"
    gc.collect()
    gc.freeze()
    fork_for_orders(socket.socket(fileno=int(sys.argv[1])))
    run()
