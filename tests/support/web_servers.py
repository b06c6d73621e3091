"""Web servers for tests: Python's http.server, nginx and Apache, each serving a folder.

nginx and Apache come from Debian's packages; see `tests.support.debian`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.debian import APACHE, NGINX, unpacked

READY_SECONDS = 60.0

_NGINX = """
daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log; {user}
events {{}}
http {{
  access_log {home}/access.log;
  client_body_temp_path {home}/1; proxy_temp_path {home}/2; fastcgi_temp_path {home}/3;
  uwsgi_temp_path {home}/4; scgi_temp_path {home}/5;
  server {{
    listen 127.0.0.1:{port}; root {folder}; autoindex on;
    location /rounded/ {{ alias {folder}/; autoindex_exact_size off; }}
  }}
}}
"""
_APACHE = """
ServerRoot {home}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {home}/apache.pid
ErrorLog {home}/apache.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule autoindex_module {modules}/mod_autoindex.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule headers_module {modules}/mod_headers.so
{user}
DocumentRoot {folder}
Alias /plain {folder}
Alias /table {folder}
<Directory {folder}>
  Options Indexes
  Require all granted
</Directory>
<Location />
  IndexOptions FancyIndexing
</Location>
<Location /plain>
  IndexOptions -FancyIndexing
</Location>
<Location /table>
  IndexOptions FancyIndexing HTMLTable NameWidth=*
</Location>
"""


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def http_server(folder: Path) -> Iterator[str]:
    """Python's own server, which answers no ranges; gives its URL."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(port), "-d", str(folder)]
    with running(command, port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def nginx(folder: Path, home: Path) -> Iterator[str]:
    """nginx with listings; those below `/rounded/` have rounded sizes. Gives its URL.

    Raises:
        UnavailableError: The package is not available.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        program = str(unpacked("nginx", NGINX) / "usr/sbin/nginx")
    home.mkdir(exist_ok=True)
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(home=home, port=port, folder=folder, user=user))
    command = [program, "-e", str(home / "nginx.log"), "-c", str(config)]
    with running(command, port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def apache(folder: Path, home: Path) -> Iterator[str]:
    """Apache with listings: fancy ones, plain ones below `/plain`, tables below `/table`.

    Args:
        folder: What it serves; every user must be able to read it.
        home: A folder of its own.

    Raises:
        UnavailableError: The package is not available.
    """
    root = unpacked("apache", APACHE)
    home.mkdir(exist_ok=True)
    port = free_port()
    user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
    config = home / "apache.conf"
    modules = root / "usr/lib/apache2/modules"
    config.write_text(
        _APACHE.format(home=home, port=port, folder=folder, user=user, modules=modules)
    )
    libraries = root / "usr/lib" / f"{os.uname().machine}-linux-gnu"
    command = [str(root / "usr/sbin/apache2"), "-D", "FOREGROUND", "-f", str(config)]
    with running(command, port, LD_LIBRARY_PATH=str(libraries)):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def running(command: list[str], port: int, **variables: str) -> Iterator[None]:
    """A process that listens on a port of loopback, until the context is left."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            assert process.poll() is None, f"{command} ended with {process.returncode}"
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
                break
            assert time.monotonic() < deadline, f"{command} does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()
