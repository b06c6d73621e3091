"""The contract of the command line: `--help`, docs/CLI.md and the synopsis agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from casync_cli.environment import Variables
from casync_cli.exit_codes import STATUS
from casync_cli.verbs import GROUPS

from tests.support.program import ROOT, Program

CONTRACT = {
    "prepare": "[FILE]... [--name NAME] [--sign KEY] [--chunk-size AVG] [--zstd-level N] "
    "[--expect sha256:HEX] [--reread] [--exclude GLOB]... [--exclude-regex RE]... "
    "[--one-file-system] [--unpack] [--allow-network-fs]",
    "get": "URL [-o FILE] [--name NAME] [--reread] [--allow-network-fs]",
    "serve": "[--listen ADDR]... [--workers N] [--grace TIME] [--insecure-no-auth] [--create] "
    "[--writable] [--tls-cert F] [--tls-key F] [--client-ca F] [--upstream URL] [--audit-log F] "
    "[--gc-interval TIME] [--jobs] [--allow-host PATTERN]... [--import-root DIR] "
    "[--tokens DIR] [--log-format FORMAT] [--allow-network-fs]",
    "pull": "REF[:PATH] [-o OUT] [--seed PATH]... [--in-place] [--cache] [--delta WHEN] "
    "[--expect sha256:HEX] [--reread] [--delete] [--max-delete N] [--exact] [--trust KEY]... "
    "[--allow-rollback] [--dry-run] "
    "[--allow-network-fs]",
    "push": "[REF] [--name NAME] [--sign KEY] [--part K/N] [--abort] [--dry-run]",
    "publish": "NAME... PLACE [--history N] [--remove] [--grace TIME] [--dry-run]",
    "download": "SOURCE DEST [--description TEXT] [--timeout T] [--max-conns N] [--limit-bph SIZE] "
    "[--limit RATE] [--object-list/--from FILE] [--header K:V]... [--flatten] [--sync] "
    "[--max-delete N] [--allow-empty] [--part K/N] [--chunk-size AVG] [--progress-interval T] "
    "[--wait] [--dry-run] [--allow-network-fs]",
    "job ls": "[--active] [--regex RE]",
    "job show": "[ID] [--regex RE] [--refresh T]",
    "job start": "ID [--progress-interval T] [--wait]",
    "job stop": "ID...",
    "job rm": "ID...",
    "job wait": "ID [--timeout T] [--refresh T]",
    "ls": "[PATTERN] [-l] [-R] [--full] [--archive]",
    "show": "REF [--digest sha256]",
    "cat": "REF[:PATH] [--offset N] [--length N] [-f/--force]",
    "archive create": "NAME [DIR|REF]... [--template T] [--list FILE] [--prefix P] [--suffix S] "
    "[--substr S] [--regex RE] [--wdskey KEY] [--portable] [--dry-run] [--allow-network-fs]",
    "archive ls": "REF[:PATH] [-l/--long] [--prefix P] [--suffix S] [--substr S] [--regex RE] "
    "[--wdskey KEY] [--mime TYPE] [--all]",
    "archive get": "REF[:PATH] [-o FILE] [--extract DIR] [--prefix P] [--suffix S] [--substr S] "
    "[--regex RE] [--wdskey KEY] [--mime TYPE] [--dry-run]",
    "archive append": "NAME FILE... [--as PATH] [--create] [--on-duplicate WHAT] [--expect N]",
    "check": "REF[:PATH] PLACE",
    "diff": "OLD NEW [--exit-code]",
    "name set": "NAME REF [--expect N] [--sign KEY] [--expires TIME]",
    "name log": "NAME",
    "key new": "FILE",
    "key show": "FILE",
    "rm": "[REF]... [--list] [--dry-run]",
    "undelete": "REF...",
    "forget": "PATTERN [--keep-last N] [--keep-within TIME] [--dry-run]",
    "gc": "[--window TIME] [--drop-pushes] [--dry-run]",
    "verify": "[REF]... [--quick] [--sample P%]",
    "repair": "[REF]... [--dry-run]",
    "bench": "OLD NEW [--chunk-sizes LIST] [--html FILE]",
    "store stats": "[REF]...",
    "store reindex": "[--salvage FILE]",
    "store compact": "",
    "store backup": "DIR",
    "store copy": "A B [--dry-run]",
    "token new": "[FILE] [--scope SCOPE] [--names PATTERN]... [--expires TIME] [--note TEXT] "
    "[--namespace NAME] [--quota SIZE] [--tokens DIR] [--create] [--allow-network-fs]",
    "token ls": "",
    "token revoke": "ID...",
    "config show": "",
    "help": "[COMMAND]...",
    "version": "",
}
COMMON = {
    "--store STORE",
    "--json",
    "-q/--quiet",
    "-v/--verbose",
    "--progress/--no-progress",
    "--config FILE",
    "--debug",
    "--version",
    "-h/--help",
}
REMOTE = {
    "--server URL",
    "--token-file F",
    "--ca F",
    "--insecure",
    "--insecure-http",
    "--proxy URL",
    "--proxy-auth F",
    "--limit RATE",
    "-p/--connections N",
    "--retry-for TIME",
}
ASK_SERVERS = {
    "pull",
    "push",
    "ls",
    "show",
    "cat",
    "check",
    "diff",
    "name set",
    "name log",
    "rm",
    "undelete",
    "repair",
    "config show",
    *("get", "download", "archive ls", "archive get"),
    *(f"job {verb}" for verb in ("ls", "show", "start", "stop", "rm", "wait")),
}
VARIABLES = {
    "STORE",
    "SERVER",
    "TOKEN_FILE",
    "TOKEN",
    "PROXY_AUTH_FILE",
    "PROXY_AUTH",
    "CA",
    "CONFIG",
}

DOCUMENT = (ROOT / "docs" / "CLI.md").read_text()
LEAF = sorted(CONTRACT)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp("home"))
    program.good("prepare", stdin=b"so that there is a store")
    return program


def sections(text: str) -> dict[str, list[str]]:
    """Help by section: the lines of each, with wrapped lines joined."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z][A-Za-z ]+:", line):
            title = line[:-1]
            found[title] = []
        elif line.startswith("   ") and found[title]:
            found[title][-1] += " " + line.strip()
        elif line.strip():
            found[title].append(line.strip())
    return found


def options(lines: list[str]) -> set[str]:
    """`-q, --quiet  Text` as `-q/--quiet`."""
    declared = (re.split(r"\s{2,}|(?<=[A-Z%6]) (?=[A-Z][a-z])", line)[0] for line in lines)
    return {re.sub(r",? / |, ", "/", each) for each in declared}


def in_table(heading: str) -> list[list[str]]:
    """The code spans in the first column of the table below a heading of docs/CLI.md."""
    body = DOCUMENT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (`.*?) \|", body, re.M)
    return [re.findall(r"`([^`]*)`", row) for row in rows]


def optional(synopsis: str) -> set[str]:
    return set(re.findall(r"\[(-[^\]]*)\]", synopsis))


@pytest.mark.parametrize("command", LEAF)
def test_the_document_has_the_synopsis(command: str) -> None:
    line = f"`casync {command} {CONTRACT[command]}".rstrip() + "`"
    assert f"\n## {command}\n\n{line}\n" in DOCUMENT


@pytest.mark.parametrize("command", LEAF)
def test_help_has_the_options_and_no_others(program: Program, command: str) -> None:
    found = sections(program.good(*command.split(), "--help").text)
    assert options(found.get("Options", [])) == optional(CONTRACT[command])
    assert options(found["Common options"]) == COMMON
    servers = REMOTE - optional(CONTRACT[command]) if command in ASK_SERVERS else set()
    assert options(found.get("Servers", [])) == servers
    assert all(line.count("[default: ") <= 1 for line in found.get("Options", []))


@pytest.mark.parametrize("command", LEAF)
def test_usage_has_the_arguments(program: Program, command: str) -> None:
    usage = program.good(*command.split(), "--help").lines[0]
    bare = re.sub(r"\[-[^\]]*\](\.\.\.)?", "", CONTRACT[command]).split()
    assert usage == " ".join(["Usage: casync", command, "[OPTIONS]", *bare])


@pytest.mark.parametrize("command", LEAF)
def test_help_has_examples_of_the_command(program: Program, command: str) -> None:
    examples = sections(program.good(*command.split(), "--help").text)["Examples"]
    assert examples
    assert all(f"casync {command}" in example for example in examples)


def test_the_document_lists_the_shared_options() -> None:
    assert {"/".join(spans) for spans in in_table("Common options")} == COMMON
    assert {"/".join(spans) for spans in in_table("Servers")} == REMOTE


def test_the_document_lists_the_environment() -> None:
    spans = {span for row in in_table("Environment") for span in row}
    assert spans == {f"CASYNC_{name}" for name in VARIABLES} | {"NO_COLOR"}
    said = {f"CASYNC_{name}": "x" for name in VARIABLES} | {"NO_COLOR": "x", "HOME": "/h"}
    known = Variables.read(said)._replace(user_config=None)
    assert known == Variables("x", ("x",), Path("x"), "x", Path("x"), "x", Path("x"), Path("x"))


def test_the_document_lists_every_code_and_its_status() -> None:
    rows = re.findall(r"^\| (\d+) \| ((?:`[a-z-]+` ?)*)\|", DOCUMENT, re.M)
    listed = {
        code: int(status)
        for status, codes in rows
        for code in re.findall(r"`([a-z-]+)`", codes)
        if code != "interrupted"
    }
    assert listed == STATUS
    assert {int(status) for status, _ in rows} == {0, *STATUS.values(), 130, 143}


def test_the_document_has_no_other_commands() -> None:
    headings = set(re.findall(r"^## ([a-z ]+)$", DOCUMENT, re.M))
    assert headings == set(CONTRACT)


def test_the_document_names_the_fields_of_json(program: Program) -> None:
    program.good("prepare", "--name", "doc", stdin=b"x" * 5000)
    for command in [
        "prepare doc",
        "pull doc -o doc2",
        "pull doc -o doc3 --dry-run",
        "show doc",
        "verify",
        "bench doc doc2 --chunk-sizes 4K",
        "store stats",
        "store stats doc",
        "config show",
        "store reindex",
        "store compact",
        "store backup copy",
        "token new --store copy",
        "token ls --store copy",
        "name set x doc",
        "name log x",
        "key new release.pem",
        "key show release.pem",
        "rm x",
        "rm --list",
        "undelete x",
        "forget x --keep-last 1",
        "gc",
        "gc --dry-run",
        "download ./doc downloaded --dry-run",
        "download ./doc downloaded",
        "job ls",
        "archive create x.tar doc",
        "archive get x.tar:doc -o member",
    ]:
        (program.home / "doc").write_bytes(b"y" * 5000)
        fields = program.good(*command.split(), "--json").document
        after = DOCUMENT.split(f"`{fields.pop('schema')}`", 1)[1].split("\n\n", 1)[0]
        assert {f"`{field}`" for field in fields} <= set(re.findall(r"`[a-z_]+`", after)), command


def test_casync_alone_prints_help_with_three_examples(program: Program) -> None:
    alone = program.good()
    assert alone.text == program.good("--help").text == program.good("-h").text
    assert len(sections(alone.text)["Examples"]) == 3


def test_help_lists_the_commands_and_no_others(program: Program) -> None:
    found = sections(program.good("--help").text)["Commands"]
    assert [line.split()[0] for line in found] == [
        *("prepare", "get", "serve"),
        "pull",
        "push",
        "publish",
        "download",
        "job",
        "ls",
        "show",
        "cat",
        "check",
        "diff",
        "archive",
        "name",
        "key",
        "rm",
        "undelete",
        "forget",
        "gc",
        "verify",
        "repair",
        "bench",
        "store",
        "token",
        "config",
        "help",
        "version",
    ]
    found = sections(program.good("store", "--help").text)["Commands"]
    assert [line.split()[0] for line in found] == ["stats", "reindex", "compact", "backup", "copy"]


@pytest.mark.parametrize("words", ["", "pull", "store", "store stats", "help"])
def test_help_of_a_command_may_be_asked_for_in_two_ways(program: Program, words: str) -> None:
    asked = program.good("help", *words.split())
    assert asked.text == program.good(*words.split(), "--help").text
    assert asked.err == ""


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_group_alone_lists_its_commands(program: Program, group: str) -> None:
    alone = program.good(group)
    assert alone.text == program.good(group, "--help").text
    listed = [line.split()[0] for line in sections(alone.text)["Commands"]]
    assert listed == list(GROUPS[group][0])


def test_the_version_may_be_asked_for_in_two_ways(program: Program) -> None:
    version = program.good("version").text
    assert version == program.good("--version").text
    assert program.good("version", "--json").document["version"] == version.split()[1]


@pytest.mark.parametrize("command", ["", *sorted(GROUPS), *LEAF])
def test_help_fits_a_narrow_terminal(program: Program, command: str) -> None:
    lines = program.good(*command.split(), "--help", COLUMNS="60").lines
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("place", ["before", "after", "between"])
@pytest.mark.parametrize("command", ["ls", "store stats"])
def test_common_options_work_on_both_sides_of_the_verb(
    program: Program, command: str, place: str
) -> None:
    words, extra = command.split(), ["--store", "/nowhere/at/all", "--json"]
    arguments = {
        "before": [*extra, *words],
        "after": [*words, *extra],
        "between": [*extra[:2], *words, *extra[2:]],
    }[place]
    ran = program.run(*arguments)
    assert ran.status == 9
    assert "/nowhere/at/all" in ran.problem["message"]


def test_the_last_of_two_options_wins(program: Program) -> None:
    ran = program.run("--store", "/first", "ls", "--store", "/second")
    assert "/second" in ran.err
    assert "/first" not in ran.err


def test_the_option_wins_over_the_environment(program: Program) -> None:
    assert "/from/env" in program.run("ls", CASYNC_STORE="/from/env").err
    assert "/from/flag" in program.run("ls", "--store", "/from/flag", CASYNC_STORE="/from/env").err
