"""Follows the Containerfile without a container engine, in a Debian made by debootstrap.

Understands the few instructions that the Containerfile has, and stops at any other. In the end,
with an empty volume, the image's user serves with the image's command and those of the manual,
prepares and pulls, and makes a token. Needs root, debootstrap and a mirror: `make container`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_MIRROR: Final = "http://deb.debian.org/debian"
_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_CHECK: Final = """
test -z "$(ls -A /var/lib/casync/store 2> /dev/null)"
$SERVE & server=$!
head -c 20000000 /dev/urandom > /tmp/in
for _ in $(seq 100); do casync ls --server http://127.0.0.1:8080 && break; sleep 0.2; done
casync prepare --name check < /tmp/in
casync --store /tmp/other pull check -o /tmp/out --server http://127.0.0.1:8080
cmp /tmp/in /tmp/out
kill $server
wait $server
rm -r /var/lib/casync/store
$TOKEN > /tmp/token
$COMMAND & server=$!
for _ in $(seq 100); do
  casync ls --server http://127.0.0.1:8080 --token-file /tmp/token && break
  sleep 0.2
done
kill $server
wait $server
"""


class Image:
    """A folder that becomes the root of the image.

    Args:
        root: The folder.
        packages: Packages that it has from the start, with commas.
    """

    def __init__(self, root: Path, packages: str = "") -> None:
        self.root = root
        self.packages = [f"--include={packages}"] if packages else []
        self.folder = "/"
        self.user = "root"
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
        self.command: list[str] = []

    def follow(self, instruction: str, rest: str) -> None:
        """Carries out one instruction."""
        match instruction:
            case "FROM":
                release = rest.rpartition(":")[2].partition("-")[0]
                options = ["--variant=minbase", *self.packages]
                run("debootstrap", *options, release, str(self.root), _MIRROR)
                self._trust_as_here()
            case "RUN":
                self.run(rest)
            case "WORKDIR":
                self.folder = rest
                (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(*shlex.split(rest))
            case "ENV":
                name, _, value = rest.partition("=")
                self.environment[name] = value
            case "USER":
                self.user = rest
            case "ENTRYPOINT" | "CMD":
                self.command += json.loads(rest)
            case "VOLUME" | "EXPOSE" | "STOPSIGNAL":
                pass
            case _:
                sys.exit(f"{instruction} is not supported")

    def run(self, script: str) -> None:
        """Runs a shell script inside, with processes and a /proc of its own."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        setup = f"mount -t proc proc {self.root}/proc && exec chroot --userspec={self.user} "
        inside = ["env", "-i", *variables, "sh", "-ec", f"cd {self.folder}\n{script}"]
        command = setup + shlex.join([str(self.root), *inside])
        run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", command)

    def _trust_as_here(self) -> None:
        """Lets pip trust the authorities of this machine: its network may have a proxy."""
        if _AUTHORITIES.exists():
            shutil.copy(_AUTHORITIES, self.root / "trusted.crt")
            (self.root / "etc" / "pip.conf").write_text("[global]\ncert = /trusted.crt\n")

    def _copy(self, *words: str) -> None:
        *sources, target = words
        place = self.root / self.folder.lstrip("/") / target
        for source in sources:
            if (ROOT / source).is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, place, ignore=ignore)
            else:
                shutil.copy(ROOT / source, place)


def run(*command: str) -> None:
    """Runs a command and stops when it fails."""
    subprocess.run(command, check=True)


def instructions(text: str) -> list[tuple[str, str]]:
    """The lines of a Containerfile, with continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined]


def commands(manual: str) -> list[str]:
    """What the manual runs in containers of the image: to serve, and to make a token."""
    return [f"casync {line}" for line in re.findall(r"^podman run .* casync (.*)$", manual, re.M)]


def main() -> None:
    """Builds the image and uses it."""
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="casync-container-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)  # it becomes the root of the image's user, too
        image = Image(Path(folder))
        for instruction, rest in instructions((ROOT / "Containerfile").read_text()):
            print(f"== {instruction} {rest}", flush=True)
            image.follow(instruction, rest)
        serve, token = commands((ROOT / "docs" / "OPERATION.md").read_text())
        image.environment |= {
            "COMMAND": shlex.join(image.command),
            "SERVE": serve,
            "TOKEN": token,
            "HOME": "/var/lib/casync",
        }
        image.run(_CHECK)
    print("the steps of the Containerfile work")


if __name__ == "__main__":
    main()
