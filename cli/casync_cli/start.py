"""The entry point of the program: blocks signals before the rest is loaded.

It is small, because a signal that arrives before this point kills the process.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["run"]


def _use_utf8() -> None:
    """Starts Python again in UTF-8 mode, where the locale has another encoding.

    Paths are bytes, and shown as UTF-8 whatever the locale says. Some encodings, such as EUC-JP,
    do not even give back the bytes that they were decoded from. Held signals stay pending.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8":
        return
    import ctypes

    encode = ctypes.pythonapi.Py_EncodeLocale  # the inverse of how Python read its arguments
    encode.argtypes, encode.restype = [ctypes.c_wchar_p, ctypes.c_void_p], ctypes.c_char_p
    words = [encode(word, None) for word in sys.orig_argv[1:]]
    program = os.fsencode(sys.executable)
    environment = {**os.environb, b"PYTHONUTF8": b"1"}  # for processes that we start
    if None not in words:
        os.execve(program, [program, b"-X", b"utf8", *words], environment)  # noqa: S606 - ourselves


def run() -> None:
    """The entry point of the script."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    _use_utf8()
    from casync.cutting.process_memory import collect_rarely, leave_all
    from casync_cli.signals import Interrupted

    collect_rarely()
    # httpx would import its own command line, with rich and pygments.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from casync_cli.main import run_program

    try:
        status = run_program()
    except Interrupted as interrupted:  # during the report of an error
        status = interrupted.status
    leave_all()
    sys.exit(status)
