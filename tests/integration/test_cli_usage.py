"""Command lines that are invalid: the message says what is wrong and what to do."""

from __future__ import annotations

import pytest

from tests.support.program import Program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp("home"))
    program.good("prepare", stdin=b"so that there is a store")
    return program


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("prepar", ["no command prepar", "Did you mean prepare or repair?"]),
        ("xyzzy", ["no command xyzzy", "casync --help"]),
        ("store stat", ["no command stat", "Did you mean stats?"]),
        ("help stor", ["no command stor", "Did you mean store?"]),
        ("help store nonsense", ["no command nonsense", "casync store --help"]),
        ("pull x --sever y", ["no such option: --sever", "Did you mean --server?"]),
        ("ls --stoer y", ["no such option: --stoer", "Did you mean --store?"]),
        ("ls --xyzzy", ["no such option: --xyzzy"]),
        ("--jsn ls", ["no such option: --jsn", "Did you mean --json?"]),
        ("pull", ["REF[:PATH] is missing", "casync pull --help"]),
        ("ls a b", ["unexpected argument: b"]),
        ("ls --store", ["'--store' requires an argument"]),
        ("ls --json=1", ["'--json' does not take a value"]),
        ("serve --listen 0.0.0.0:0", ["without authentication", "--insecure-no-auth"]),
        ("serve --listen nonsense", ["cannot listen on nonsense"]),
        ("serve --workers many", ["--workers takes a whole number, not many"]),
        ("serve --grace 5", ["not a duration: 5"]),
        ("serve --log-format xml", ["--log-format takes text or json"]),
        ("prepare x --chunk-size 1", ["average chunk size must be"]),
        ("prepare x --chunk-size big", ["not a size: big"]),
        ("prepare x --zstd-level 20", ["--zstd-level takes 1 to 19"]),
        ("prepare x --name a@b", ["a name must not hold"]),
        ("prepare x --expect md5:00", ["not a digest: md5:00"]),
        ("pull x --in-place", ["--in-place overwrites a file", "-o OUT"]),
        ("pull x -o - --json", ["cannot share stdout"]),
        ("pull x -o out --server ftp://x", ["not an address of a server"]),
        ("pull x -o out --server http://u:p@x", ["must not contain a user or a password"]),
        ("pull x -o out -p 0", ["--connections takes 1 to 256"]),
        ("pull x -o out --limit 0", ["the lowest is 256 bytes per second"]),
        ("ls --server http://a --server http://b", ["takes one server"]),
        ("ls --insecure", ["--insecure: options for servers need a server"]),
        ("ls --insecure http://h/x", ["--insecure: options for servers need a server"]),
        ("get http://h/x --insecure -p 3 --ca x", ["--connections and --insecure: options"]),
        ("get http://h/x --limit 1M", ["--limit is for casync servers", "`casync download`"]),
        ("get http://h/x -p 3", ["--connections: options for servers need a server"]),
        ("download http://h/x y --retry-for 1s --proxy http://h", ["--retry-for: options for"]),
        ("show x:y", ["takes a whole manifest"]),
        ("show x --digest md5", ["--digest takes sha256"]),
        ("cat x --json", ["cat cannot write JSON"]),
        ("cat x --offset -1", ["not a size: -1"]),
        ("name set x y --expect -1", ["--expect takes a whole number"]),
        ("rm", ["rm takes either REFs or --list"]),
        ("rm x:y", ["takes whole manifests"]),
        ("undelete 12345678 --server http://a", ["not a full hash"]),
        ("forget x", ["forget needs a rule", "--keep-last"]),
        ("forget x --keep-last 0", ["--keep-last takes 1 to"]),
        ("repair", ["repair needs a server", "--server URL"]),
        ("verify --quick --sample 5%", ["drop --sample"]),
        ("verify --sample 0", ["not a percentage: 0"]),
        ("download", ["SOURCE is missing", "casync download --help"]),
        ("download http://h/x", ["DEST is missing"]),
        ("download data/x y", ["neither a URL nor a path"]),
        ("download . x", [". is a folder", "Write ./ for all that is in it"]),
        ("download http://h/x ais://bucket/x", ["DEST is a name in the store, not an address"]),
        ("download http://h/{9..1} x/", ["{9..1}"]),
        ("download http://h/x y --sync", ["is not listed", "Drop --sync"]),
        ("download http://h/ y --max-delete 5", ["--max-delete needs --sync"]),
        ("download http://h/ y --max-conns 0", ["--max-conns takes 1 to 1024"]),
        ("download http://h/ y --limit-bph 1", ["a limit of 1 is too low", "1.00 MiB per hour"]),
        ("download http://h/ y --part 3/2", ["--part takes K/N"]),
        ("download http://h/ y --header secret", ["not a header. Write it as"]),
        ("download http://h/ y --header Range:x", ["the header Range is set by casync"]),
        ("download http://h/ y --progress-interval 5", ["not a duration: 5"]),
        ("download http://h/ y --chunk-size 1", ["average chunk size must be"]),
        ("job start", ["ID is missing"]),
        ("job show --progress", ["--progress follows one job"]),
        ("job show x --regex y", ["--regex selects among all jobs"]),
        ("job show x --refresh 10ms", ["--refresh takes at least 100ms"]),
        ("job wait", ["ID is missing", "casync job wait --help"]),
        ("job stop", ["ID is missing"]),
        ("job wait x --timeout 5", ["not a duration: 5"]),
        ("job lst", ["no command lst", "Did you mean ls?"]),
    ],
)
def test_usage_errors_say_what_to_do(program: Program, command: str, words: list[str]) -> None:
    ran = program.run(*command.split())
    assert (ran.status, ran.out) == (2, b""), ran
    assert ran.err.startswith('{"schema"' if "--json" in command.split() else "casync: ")
    assert ran.err.count("\n") == 1
    for word in words:
        assert word in ran.err


def test_prepare_refuses_to_read_a_terminal(program: Program) -> None:
    status, screen = program.on_terminal("prepare")
    assert status == 2
    assert "stdin is a terminal" in screen


def test_pull_to_a_terminal_is_refused(program: Program) -> None:
    status, screen = program.on_terminal("pull", "x", "-o", "-")
    assert status == 2
    assert "refusing to write content to a terminal" in screen
