"""Boots the systemd unit from nothing, as docs/OPERATION.md says, in a Debian made by debootstrap.

casync is installed as the README says. systemd then runs the blocks of the manual and a check that
uses the service, reloads it, breaks its settings and mends them. Needs root, debootstrap,
systemd-nspawn and a mirror: `make container`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.container.steps import ROOT, Image

_PACKAGES: Final = "systemd,systemd-sysv,dbus,pipx,sudo"
_SECONDS: Final = 300

_JOB: Final = """
[Unit]
After=multi-user.target
[Service]
Type=oneshot
WorkingDirectory=/src
ExecStart=/bin/bash -eux /check
ExecStopPost=/bin/sh -c 'journalctl -u casync --no-pager > /log; systemctl poweroff'
StandardOutput=file:/output
StandardError=file:/output
TimeoutStartSec=240
[Install]
WantedBy=default.target
"""

_CHECK: Final = """
systemctl is-active casync
server=http://127.0.0.1:8080
head -c 20000000 /dev/urandom > /tmp/in
chmod 644 /tmp/in
shell casync prepare /tmp/in --name check
casync --store /tmp/other pull check -o /tmp/out --server $server
cmp /tmp/in /tmp/out
test "$(stat -c '%U %a' /var/lib/casync/store)" = 'casync 700'

main=$(systemctl show -P MainPID casync)
systemctl reload casync
casync ls --server $server
test "$(systemctl show -P MainPID casync)" = "$main"

unit=/etc/systemd/system/casync.service
sed -i 's/^#Environment/Environment/' $unit
systemctl daemon-reload
systemctl restart casync
test "$(systemctl show -P Environment casync | grep -o 'chunks[^"]*')" = \
  'chunks.example.com chunks.example.net'
/opt/pipx/venvs/casync/bin/python - <<'END'
from urllib.request import Request, urlopen
for host in ("chunks.example.com", "chunks.example.net", "localhost:9000"):
    urlopen(Request("http://127.0.0.1:8080/v1/names", headers={"Host": host}))
END

sed -i 's/CASYNC_SERVE_HOSTS/CASYNC_SERVE_HOST/' $unit
systemctl daemon-reload
! systemctl restart casync
sleep 5
test "$(systemctl show -P ExecMainStatus casync)" = 2
test "$(systemctl show -P NRestarts casync)" = 0
sed -i 's/CASYNC_SERVE_HOST/CASYNC_SERVE_HOSTS/' $unit
systemctl daemon-reload
systemctl restart casync

shell casync token new > /tmp/token
casync ls --server $server --token-file /tmp/token
! casync ls --server $server
systemctl stop casync
test "$(systemctl show -P Result casync)" = success
touch /passed
"""


def blocks(text: str) -> list[str]:
    """The indented or unindented blocks of commands in a part of a document."""
    return re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.M | re.S)


def section(name: str, heading: str) -> str:
    """A section of a document."""
    text = (ROOT / name).read_text()
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def main() -> None:
    """Installs, boots and checks."""
    os.umask(0o022)
    nspawn = os.environ.get("NSPAWN") or shutil.which("systemd-nspawn") or "systemd-nspawn"
    with tempfile.TemporaryDirectory(prefix="casync-unit-", dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        image = Image(root, packages=_PACKAGES)
        image.follow("FROM", "debian:bookworm-slim")
        image.follow("WORKDIR", "/src")
        sources = "pyproject.toml README.md LICENSE ./"
        for rest in (sources, "casync casync", "server server", "cli cli", "docs docs"):
            image.follow("COPY", rest)
        (install,) = blocks(section("README.md", "Installation"))
        image.run(install.replace("sudo apt install -y pipx && ", ""))
        start, shell = blocks(section("docs/OPERATION.md", "As a service"))
        words = shell.strip().removesuffix("bash")
        script = f'shell() {{ {words} "$@"; }}\n{start}{_CHECK}'
        (root / "check").write_text(script)
        units = root / "etc" / "systemd" / "system"
        (units / "check.service").write_text(_JOB)
        wants = units / "default.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / "check.service").symlink_to("../check.service")
        boot = [nspawn, "--quiet", "--boot", "--register=no", "--keep-unit", f"--directory={root}"]
        subprocess.run(boot, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL)
        for name in ("output", "log"):
            if (root / name).exists():
                print(f"== {name}", (root / name).read_text(), sep="\n")
        if not (root / "passed").exists():
            sys.exit("the unit does not work as docs/OPERATION.md says")
    print("the unit works from nothing")


if __name__ == "__main__":
    main()
