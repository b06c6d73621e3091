"""Chromium without a window, spoken to through pipes with its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.debian import CHROMIUM, UnavailableError, unpacked

__all__ = ["Browser", "browsing"]

_SECONDS = 30.0
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--lang=en-GB",
    "--remote-debugging-pipe",
)


class Browser:
    """One tab.

    Args:
        into: Takes messages to the browser, which end with a NUL.
        out: Gives its messages.

    Attributes:
        said: What the page wrote to its console, and what its policy refused.
    """

    def __init__(self, into: int, out: int) -> None:
        self._into = into
        self._out = out
        self._data = b""
        self._number = 0
        self._session = ""
        self.said: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, url: str, *, width: int = 1000, height: int = 900, dark: bool = False) -> None:
        """Opens a page."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def value(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Waits until an expression is true."""
        deadline = time.monotonic() + _SECONDS
        while not self.value(script):
            assert time.monotonic() < deadline, (script, self.value("document.body.innerText"))
            time.sleep(0.05)

    def picture(self) -> bytes:
        """The page as a PNG, with what lies below its first screen."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._read()
            if reply.get("id") == self._number:
                assert "error" not in reply, (method, reply["error"])
                result: dict[str, Any] = reply["result"]
                return result
            if reply.get("method") == "Runtime.consoleAPICalled":
                self.said.append(str(reply["params"]["args"]))
            elif reply.get("method") == "Runtime.exceptionThrown":
                self.said.append(str(reply["params"]["exceptionDetails"]))
            elif reply.get("method") == "Log.entryAdded":
                self.said.append(reply["params"]["entry"]["text"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._data:
            piece = os.read(self._out, 1 << 20)
            assert piece, "the browser has ended"
            self._data += piece
        line, _, self._data = self._data.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in `folder`.

    Raises:
        UnavailableError: There is no Chromium.
    """
    root = unpacked("chromium", CHROMIUM)
    program = root / "usr/lib/chromium/chromium"
    if not program.exists():
        raise UnavailableError("the package of Chromium has no program")
    libraries = root / "usr/lib/x86_64-linux-gnu"
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{libraries}:{libraries}/pulseaudio",
        "HOME": str(folder),
    }
    from_us, into = os.pipe()
    out, to_us = os.pipe()
    # The protocol is on descriptors 3 and 4.
    script = f'exec "$@" 3<&{from_us} 4>&{to_us}'
    command = ["bash", "-c", script, "bash", str(program), *_OPTIONS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        command,
        pass_fds=(from_us, to_us),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Browser(into, out)
    finally:
        os.close(into)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(out)
