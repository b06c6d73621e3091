"""Mutants of a store through every command that reads or deletes: `make damage`.

`python -m tests.damage.run` damages a store in 400 ways, and runs ls, show, verify, pull, gc, rm,
compact and reindex on each, and requests of a server of which it is one namespace among healthy
ones. Half as many times it damages the index of a larger store, and inserts into it. Whatever is
damaged is named: no wrong byte comes out, no object that lives is deleted, no process is aborted,
no traceback is printed. Exit status 1 when one of these was seen.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from casync.api import pull
from casync.errors import CasyncError
from casync.ids import Kind
from casync.names.token import TokenScope
from casync.remote.http.address import origin_of
from casync.remote.server.transport_options import TransportOptions
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import Server, environment, run
from tests.crash.material import image, noise
from tests.damage.mutants import Mutant, index_mutants, mutants

__all__ = ["SEED", "Findings", "damage"]

SEED: Final = 20261129

_NAMES: Final = 31
_OF_SERVER: Final = 50
"""Mutants that one server has as namespaces."""

_NAMED: Final = frozenset({0, 4, 9, 10})
"""Exit statuses of commands that found damage, or nothing of it."""

_CASES: Final[list[list[list[str]]]] = [
    [["ls"], ["show", "n/3"], ["verify"], ["pull", "n/3", "-o", "OUT"]],
    [["readable"], ["gc", "--window", "0"], ["readable"], ["store", "reindex"], ["readable"]],
    [["readable"], ["rm", "n/0"], ["gc", "--window", "0"], ["readable"]],
    [["readable"], ["store", "compact"], ["readable"]],
    [["readable"], ["store", "reindex"], ["readable"], ["gc", "--window", "0"], ["readable"]],
]


_INSERTING: Final[list[list[list[str]]]] = [
    [["readable"], ["prepare", "INPUT", "--chunk-size", "512"], ["readable"]],
]


class Good(NamedTuple):
    """The undamaged store, what `n/3` is, and its hash."""

    path: Path
    data: bytes
    content: bytes
    hash: str


class Findings:
    """What was seen, and what must not have been."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.wrong: dict[str, list[str]] = {
            kind: [] for kind in ("wrong bytes", "live objects deleted", "aborts", "tracebacks")
        }

    def report(self) -> list[str]:
        """Lines for people."""
        lines = [f"{what}: {number}" for what, number in sorted(self.seen.items())]
        for kind, places in self.wrong.items():
            lines.append(f"{len(places)} {kind}")
            lines += [f"  {place}" for place in places[:20]]
        return lines

    @property
    def violations(self) -> int:
        """How many promises were broken."""
        return sum(map(len, self.wrong.values()))


def main() -> int:
    """Runs; returns an exit status."""
    parser = argparse.ArgumentParser(prog="damage", description=__doc__)
    parser.add_argument("--mutants", type=int, default=400)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casync-damage-") as folder:
        findings = damage(Path(folder), options.mutants, options.seed)
    print(f"{options.mutants} mutants, seed {options.seed}", *findings.report(), sep="\n")
    return 1 if findings.violations else 0


def damage(folder: Path, number: int, seed: int) -> Findings:
    """Tries so many mutants in `folder`."""
    good = _good(folder / "good")
    findings = Findings()
    drawn = mutants(good.data, number, seed)
    _run_commands(folder, good, drawn, _CASES, findings)
    large = _large(folder / "large")
    in_index = index_mutants(large.data, number // 2, seed)
    _run_commands(folder, large, in_index, _INSERTING, findings)
    for start in range(0, number, _OF_SERVER):
        _serve(folder / f"served{start}", good, drawn[start : start + _OF_SERVER], findings)
    return findings


def _good(folder: Path) -> Good:
    """31 named versions of a file, something in the trash, and segments that gc frees and moves."""
    folder.mkdir()
    path, base = folder / "store", image(7, 700_000)
    contents = {f"gone/{number}": noise(100 + number, 1_200_000) for number in range(2)}
    contents |= {
        f"n/{number}": noise(number, 6000) + base[9000 * number :] + base[: 9000 * number]
        for number in range(_NAMES)
    }
    contents["again"] = contents["n/0"]  # so that its objects live without `n/0`
    hashes: dict[str, str] = {}
    for name, content in contents.items():
        (folder / "input").write_bytes(content)
        options = ("--chunk-size", "4k", "--name", name, "--store", path)
        done = run("prepare", *options, folder / "input")
        assert done.returncode == 0, done.stderr.decode()
        hashes[name] = done.stdout.decode().strip()
    assert run("rm", "gone/0", "--store", path).returncode == 0
    assert run("gc", "--window", "0", "--store", path).returncode == 0
    assert run("rm", "gone/1", "--store", path).returncode == 0
    with LmdbStore.open(path, read_only=True) as store:
        removed = {removed.manifest for removed in store.removed()}
    assert len(removed) == 1
    done = run("gc", "--window", "0", "--dry-run", "--json", "--store", path)
    dead = {each["id"] for each in json.loads(done.stdout)["dead"]}
    assert dead
    with LmdbStore.open(path, read_only=True) as store:
        truth = {
            kind.name: [each.hex() for each in store.objects(kind) if each.hex() not in dead]
            for kind in Kind
        }
    (path / "truth").write_text(json.dumps(truth))
    data = (path / "data.mdb").read_bytes()
    return Good(path, data, contents["n/3"], hashes["n/3"])


def _large(folder: Path) -> Good:
    """A store whose index is too large to be read when it is opened, and new content for it."""
    folder.mkdir()
    path, content = folder / "store", noise(7, 8_000_000)
    (folder / "input").write_bytes(content)
    options = ("--chunk-size", "512", "--store", path)
    done = run("prepare", *options, folder / "input")
    assert done.returncode == 0, done.stderr.decode()
    (folder / "input").write_bytes(noise(8, 4_000_000))
    with LmdbStore.open(path, read_only=True) as store:
        truth = {kind.name: [each.hex() for each in store.objects(kind)] for kind in Kind}
    (path / "truth").write_text(json.dumps(truth))
    data = (path / "data.mdb").read_bytes()
    return Good(path, data, content, done.stdout.decode().strip())


def _run_commands(
    folder: Path,
    good: Good,
    drawn: list[Mutant],
    cases: list[list[list[str]]],
    findings: Findings,
) -> None:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    out = scratch / "out"
    places = {"OUT": str(out), "INPUT": str(good.path.parent / "input")}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.damage.child", good.path, scratch],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for mutant in drawn:
            for case in cases:
                commands = [[places.get(word, word) for word in words] for words in case]
                out.unlink(missing_ok=True)
                line = json.dumps([mutant.at, mutant.new.hex(), commands])
                child.stdin.write(line.encode() + b"\n")
                child.stdin.flush()
                results = json.loads(child.stdout.readline())
                _judge(mutant, case, results, findings)
                if out.exists() and out.read_bytes() != good.content:
                    findings.wrong["wrong bytes"].append(f"{mutant.label}: pull")
        child.stdin.close()


def _judge(
    mutant: Mutant, case: list[list[str]], results: list[tuple[int, str, str]], findings: Findings
) -> None:
    before: set[str] | None = None
    last, has_dropped = "", False
    for words, (status, output, said) in zip(case, results, strict=True):
        verb = words[1] if words[0] == "store" else words[0]
        place = f"{mutant.label}: {verb} ended with {status}: {said[-300:]}"
        if status < 0:
            findings.wrong["aborts"].append(place)
        elif "Traceback" in said or status not in _NAMED or (status and not said + output):
            findings.wrong["tracebacks"].append(place)
        if verb != "readable":
            if verb == "gc" and has_dropped:
                return  # it follows the names, and those of what is lost are gone
            has_dropped = has_dropped or (verb == "reindex" and status != 0)
            last = verb
            findings.seen[f"{verb}: {'well' if status == 0 else f'exit {status}'}"] += 1
            continue
        now = set(output.split())
        if before is not None and not before <= now:
            lost = f"{mutant.label}: {len(before - now)} after {last}"
            findings.wrong["live objects deleted"].append(lost)
        before = now if before is None else before | now


def _serve(folder: Path, good: Good, drawn: list[Mutant], findings: Findings) -> None:
    """Serves mutants as namespaces of a healthy store."""
    shutil.copytree(good.path, folder)
    with LmdbStore.open(folder) as store:
        healthy = store.tokens.issue(TokenScope.READ)[0]
        tokens = [
            store.tokens.issue(TokenScope.READ, namespace=f"m{number}")[0]
            for number in range(len(drawn))
        ]
    (folder / "namespaces").mkdir(mode=0o700)
    for number, mutant in enumerate(drawn):
        place = folder / "namespaces" / f"m{number}"
        place.mkdir(mode=0o700)
        (place / "data.mdb").write_bytes(mutant.of(good.data))
        (place / "data.mdb").chmod(0o600)
    with Server(folder) as server:
        for mutant, token in zip(drawn, tokens, strict=True):
            status, code = _names(server, token)
            findings.seen[f"GET /v1/names: {status} {code}".rstrip()] += 1
            out = folder / "out"
            outcome = _pull(server, token, good.hash, out)
            findings.seen[f"pull from a server: {outcome}"] += 1
            if out.exists() and out.read_bytes() != good.content:
                findings.wrong["wrong bytes"].append(f"{mutant.label}: pull from a server")
            out.unlink(missing_ok=True)
            if _names(server, healthy) != (200, ""):
                findings.wrong["aborts"].append(f"{mutant.label}: it ended others' service")
            if not server.running:
                break
        lines = list(server.lines)
    findings.wrong["aborts"] += [line.strip() for line in lines if "was killed" in line]
    findings.wrong["tracebacks"] += [line.strip() for line in lines if "Traceback" in line]


def _names(server: Server, token: str) -> tuple[int, str]:
    """The status of a list of names, and the code of its problem."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/v1/names", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, type(error).__name__
    return answer.status, "" if answer.status == 200 else str(json.loads(body)["code"])


def _pull(server: Server, token: str, hash_: str, out: Path) -> str:
    options = TransportOptions(tokens={origin_of(server.url): token}, retry_for=3)
    try:
        pull(hash_, out, servers=[server.url], transport=options)
    except CasyncError as error:
        return error.code
    return "well"


if __name__ == "__main__":
    sys.exit(main())
