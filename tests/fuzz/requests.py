"""Schemathesis against a real server: requests that its OpenAPI document allows, and broken ones.

`python -m tests.fuzz.requests` starts `serve --writable` over a store with a file, a folder and
tokens, and lets Schemathesis send requests with the rights of a reader, a writer, an administrator
and without a token. A request must not cause a 5xx, a status or type that is not documented, or a
document that does not fit its schema; and no log may hold a traceback.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import httpx

from casync.ids import Kind
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import Server, environment, run

_CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
_SCOPES: Final = ("read", "write", "admin")


def main() -> int:
    """Runs Schemathesis for each scope; returns an exit status."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="of each operation")
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "store"
        known = _filled(Path(name), store)
        tokens = [_said("token", "new", "--scope", s, "--store", store) for s in _SCOPES]
        with Server(store, "--writable") as server:
            described = httpx.get(f"{server.url}/openapi.json", headers=_rights(tokens[0]))
            (Path(name) / "openapi.json").write_bytes(described.content)
            for who, token in zip([*_SCOPES, "no token"], [*tokens, ""], strict=True):
                print(f"== {who}", flush=True)
                wrong += _ask(Path(name), server.url, token, known, options)
            lines = list(server.lines)
        verified = run("verify", "--store", store)
    broken = [line for line in lines if "Traceback" in line or re.search(r" 500 ", line)]
    print(f"seed {options.seed}, {len(lines)} requests, {len(broken)} of them broke the server")
    print(*broken[:20], verified.stderr.decode(), sep="")
    return 1 if wrong or broken or verified.returncode else 0


def _rights(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _ask(
    folder: Path, url: str, token: str, known: dict[str, str], options: argparse.Namespace
) -> bool:
    """Whether Schemathesis found a fault; prints its report. `folder` has the document."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json"]
    command += [
        "--url",
        url,
        "--checks",
        _CHECKS,
        "--phases",
        "examples,coverage,fuzzing",
        "--no-color",
    ]
    command += ["-n", str(options.examples), "--seed", str(options.seed), "--warnings", "off"]
    command += ["--continue-on-failure", "--suppress-health-check", "all"]
    for field, value in _rights(token).items():
        command += ["--header", f"{field}: {value}"]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | hooks | known,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr, sep="\n", flush=True)
    return done.returncode != 0


def _filled(folder: Path, store: Path) -> dict[str, str]:
    """Fills a store; returns its refs and ids as variables for the hooks."""
    tree = folder / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "x").write_bytes(b"a file")
    (tree / "d" / "y").write_bytes(random.Random(1).randbytes(300_000))
    hashes = [
        _said("prepare", tree, "--name", "tree", "--store", store),
        _said("prepare", tree / "d" / "y", "--name", "a/file", "--store", store),
    ]
    with LmdbStore.open(store, read_only=True) as opened:
        ids = [ident.hex() for kind in Kind for ident in opened.objects(kind)]
    return {
        "CASYNC_FUZZ_REFS": " ".join(["tree", "a/file", "a/file@1", *hashes]),
        "CASYNC_FUZZ_IDS": " ".join(ids),
    }


def _said(*arguments: str | Path) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().split("\t")[0].strip()


if __name__ == "__main__":
    sys.exit(main())
