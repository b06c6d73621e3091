"""Certificates of an authority of our own, made by openssl."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["make_authority", "make_certificate", "tool"]


def tool(name: str, package: str) -> str:
    """Where a program is; without it the test is counted as skipped."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is missing: apt install {package}")
    return found


def make_authority(folder: Path) -> Path:
    """Makes ca.pem and ca.key; returns the former."""
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(
        folder,
        "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=tests "
        "-keyout ca.key -out ca.pem",
    )
    return folder / "ca.pem"


def make_certificate(folder: Path, name: str, *hosts: str) -> tuple[Path, Path]:
    """Has the authority in `folder` sign a certificate; returns it and its key."""
    names = ",".join(("DNS:" if host[0].isalpha() else "IP:") + host for host in hosts or (name,))
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    _openssl(
        folder,
        f"req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN={name} "
        f"-keyout {name}.key -out {name}.csr",
    )
    _openssl(
        folder,
        f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        f"-extfile {name}.ext -out {name}.pem",
    )
    return folder / f"{name}.pem", folder / f"{name}.key"


def _openssl(folder: Path, arguments: str) -> None:
    command = [tool("openssl", "openssl"), *arguments.split()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
