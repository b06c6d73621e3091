"""The verbs, loaded into Typer one at a time.

A verb is a row in a table. Its module is imported when the verb runs or shows its help, and imports
the library only when it runs. This keeps `casync --help`, completion and usage errors fast.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from casync.errors import UsageError
from casync_cli.options import common, remote
from casync_cli.parsing.words import translated
from casync_cli.signals import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GROUPS", "VERBS", "Verb", "program"]


class Verb(NamedTuple):
    """One command.

    Attributes:
        module: Module with its function `run`, its `DETAILS` and its `EXAMPLES`.
        summary: Help in one line.
        remote: Whether it has the options for servers.
        own_signals: Whether it unblocks signals itself.
    """

    module: str
    summary: str
    remote: bool = False
    own_signals: bool = False


VERBS: Final[dict[str, Verb]] = {
    "prepare": Verb("prepare", "Store a file, a folder or a bucket and print its hash."),
    "get": Verb("get", "Fetch an object of a web server or a bucket.", True),
    "serve": Verb("serve", "Serve the store over HTTP.", own_signals=True),
    "pull": Verb("pull", "Rebuild a file or a folder; fetch only missing chunks.", True),
    "push": Verb("push", "Send a manifest and a name to a server.", True),
    "publish": Verb("publish", "Write names as files for a plain web server."),
    "download": Verb("download", "Download many objects as a job.", True),
    "job": Verb("", "Show, stop, continue and remove download jobs."),
    "ls": Verb("ls", "List names and manifests, or the entries of a folder or URL.", True),
    "show": Verb("show", "Describe a manifest: length, chunks, sizes.", True),
    "cat": Verb("cat", "Write content, or a part of it, to stdout.", True),
    "check": Verb("check", "Compare a file or folder on disk with a manifest.", True),
    "diff": Verb("diff", "List the differences between two manifests.", True),
    "archive": Verb("", "Make tar, tgz, zip and MessagePack files; list and read members."),
    "name": Verb("", "Set names, and show their history."),
    "key": Verb("", "Make keys for signing names."),
    "rm": Verb("rm", "Move names and manifests to the trash.", True),
    "undelete": Verb("undelete", "Restore names and manifests from the trash.", True),
    "forget": Verb("forget", "Move old versions of names to the trash."),
    "gc": Verb("gc", "Delete objects that no manifest needs."),
    "verify": Verb("verify", "Check the store against its hashes."),
    "repair": Verb("repair", "Fetch damaged or missing objects from servers.", True),
    "bench": Verb("bench", "Measure the cost of an update from one file to another."),
    "store": Verb("", "Maintain the store."),
    "token": Verb("", "Manage tokens for servers of the store."),
    "config": Verb("", "Show the settings and their sources."),
    "help": Verb("help", "Show the help of a command."),
    "version": Verb("version", "Print the version."),
}

_JOB_VERBS: Final[dict[str, Verb]] = {
    "ls": Verb("job_ls", "List jobs.", True),
    "show": Verb("job_show", "Show a job, once or while it runs.", True),
    "start": Verb("job_start", "Continue a job where it was.", True),
    "stop": Verb("job_stop", "Stop jobs; they can be continued.", True),
    "rm": Verb("job_rm", "Remove jobs from the list, but nothing that they fetched.", True),
    "wait": Verb("job_wait", "Wait until a job has ended.", True),
}

_ARCHIVE_VERBS: Final[dict[str, Verb]] = {
    "create": Verb("archive_create", "Make an archive and print its hash."),
    "ls": Verb("archive_ls", "List the members of an archive.", True),
    "get": Verb("archive_get", "Write members of an archive to a file or a folder.", True),
    "append": Verb("archive_append", "Add files to an archive."),
}

_NAME_VERBS: Final[dict[str, Verb]] = {
    "set": Verb("name_set", "Point a name to a manifest.", True),
    "log": Verb("name_log", "List all versions of a name.", True),
}

_KEY_VERBS: Final[dict[str, Verb]] = {
    "new": Verb("key_new", "Make a private key and print its public key."),
    "show": Verb("key_show", "Print the public key of a private key."),
}

_STORE_VERBS: Final[dict[str, Verb]] = {
    "stats": Verb("store_stats", "Show contents and sizes of the store."),
    "reindex": Verb("store_reindex", "Rebuild the index, or salvage a damaged store file."),
    "compact": Verb("store_compact", "Return unused space of the store to the disk."),
    "backup": Verb("store_backup", "Copy the store while it is in use."),
    "copy": Verb("store_copy", "Add everything of one store to another one."),
}

_TOKEN_VERBS: Final[dict[str, Verb]] = {
    "new": Verb("token_new", "Make a token and print it."),
    "ls": Verb("token_ls", "List the tokens."),
    "revoke": Verb("token_revoke", "Make tokens invalid."),
}

_CONFIG_VERBS: Final[dict[str, Verb]] = {
    "show": Verb("config_show", "Show the settings and their sources.", True),
}

_WORD: Final = re.compile(r"(?:'[^']*'|[^ '])+")
_EXAMPLES: Final = (
    "casync prepare --name vm/1 < vm.img       store a version, print its hash",
    "casync serve                              serve it to others",
    "casync pull vm/1 -o vm.img --server URL   fetch only what is missing",
)

_JOB_EXAMPLES: Final = (
    "casync job ls",
    "casync job show dnl-4k3v9x0ab --progress",
    "casync job wait dnl-4k3v9x0ab --timeout 2h",
)

_ARCHIVE_EXAMPLES: Final = (
    "casync archive create shards/0001.tar ./images/",
    "casync archive ls shards/0001.tar --suffix .cls",
    "casync archive get shards/0001.tar:train/7.jpg -o 7.jpg",
    "casync archive append shards/0001.tar 8.jpg 8.cls",
)

_NAME_EXAMPLES: Final = (
    "casync name set vm/stable vm/nightly@12",
    "casync name log vm/stable",
)

_KEY_EXAMPLES: Final = (
    "casync key new release.pem",
    "casync name set vm/stable vm/nightly --sign release.pem --expires 30d",
)

_STORE_EXAMPLES: Final = (
    "casync store stats",
    "casync store backup /mnt/backup/2024-06",
    "casync store copy /srv/casync s3://backup/casync",
    "casync store reindex --salvage /broken/data.mdb --store /new/store",
)

GROUPS: Final[dict[str, tuple[dict[str, Verb], tuple[str, ...]]]] = {
    "job": (_JOB_VERBS, _JOB_EXAMPLES),
    "archive": (_ARCHIVE_VERBS, _ARCHIVE_EXAMPLES),
    "name": (_NAME_VERBS, _NAME_EXAMPLES),
    "key": (_KEY_VERBS, _KEY_EXAMPLES),
    "store": (_STORE_VERBS, _STORE_EXAMPLES),
    "token": (_TOKEN_VERBS, ("casync token new --scope write --names 'builds/'",)),
    "config": (_CONFIG_VERBS, ("casync config show",)),
}
"""Groups of verbs, with examples."""


class _Command(TyperCommand):
    """A verb: its help comes in sections, and signals stop it once it runs."""

    examples: tuple[str, ...] = ()
    own_signals = False

    def invoke(self, ctx: Any) -> Any:
        if not self.own_signals:
            stop_on_signals()
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = ["[OPTIONS]"]
        for param in self.get_params(ctx):
            if param.param_type_name == "argument":
                piece = f"{param.metavar}" if param.required else f"[{param.metavar}]"
                pieces.append(piece if param.nargs == 1 else f"{piece}...")
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(self.examples, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _light(super().get_help_option(ctx))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        return _bare(super().shell_complete(ctx, incomplete))


class _Group(TyperGroup):
    """A group that finds its commands in a table."""

    table: dict[str, Verb]
    examples: tuple[str, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, translated(args) if ctx.parent is None else args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.table:
            if self.table[cmd_name].module:
                return _command(cmd_name, self.table[cmd_name])
            return _group(*GROUPS[cmd_name], self.table[cmd_name].summary)
        if ctx.resilient_parsing:
            return None
        near = get_close_matches(cmd_name, self.table, n=2)
        raise UsageError(
            f"there is no command {cmd_name}",
            next_step=f"Did you mean {' or '.join(near)}?" if near else f"See {_path(ctx)} --help.",
        )

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in self.table.items()])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(self.examples, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _light(super().get_help_option(ctx))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        return _bare(super().shell_complete(ctx, incomplete))


def _path(ctx: Any) -> str:
    return cast(str, ctx.command_path)


def _bare(items: Any) -> Any:
    """Completions without help texts, which Typer would render with rich (0.06 s a key press)."""
    for item in items:
        item.help = None
    return items


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {}
    shared = _names(common), _names(remote)
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        if param.param_type_name == "argument":
            title, record = "Arguments", (param.metavar, param.help)
        elif param.name in shared[1]:
            title = "Servers"
        elif param.name in shared[0] or param.name == "help":
            title = "Common options"
        else:
            title = "Options"
        sections.setdefault(title, []).append(record)
    for title in ("Arguments", "Options", "Servers", "Common options"):
        if title in sections:
            with formatter.section(title):
                formatter.write_dl(sections[title])


def _write_examples(examples: tuple[str, ...], formatter: Any) -> None:
    with formatter.section("Examples"):
        indent = " " * formatter.current_indent
        for example in examples:
            for line in _wrapped(example, formatter.width - formatter.current_indent):
                formatter.write(f"{indent}{line}\n")


def _wrapped(example: str, width: int) -> Iterator[str]:
    """The lines of a command, to be pasted as they are, after its comment if that does not fit."""
    if len(example) <= width:
        yield example
        return
    command, _, comment = example.partition("   ")
    if comment:
        yield f"# {comment.strip()}"
    line = ""
    for word in _WORD.findall(command):
        if line.strip() and len(f"{line} {word} \\") > width:
            yield f"{line} \\"
            line = "   "
        line = f"{line} {word}" if line else word
    yield line


@cache
def _parameters(declaration: Callable[..., None]) -> list[Any]:
    """The parameters that Typer derives from a function's signature."""
    app = typer.Typer(add_completion=False)
    app.command()(declaration)
    return [_light(param) for param in get_command(app).params]


def _names(declaration: Callable[..., None]) -> set[str]:
    return {param.name for param in _parameters(declaration)}


def _light(param: Any) -> Any:
    """Makes a parameter pass on its text or flag unchanged.

    All parameters are text, flags or lists of text; Typer would load pydantic to convert them.
    """

    def process(ctx: Any, value: Any) -> Any:
        if param.required and not value and not ctx.resilient_parsing:
            raise UsageError(f"{param.metavar or param.name} is missing", next_step=_see(ctx))
        if value is None and param.nargs != 1:
            value = ()
        return value if param.callback is None else param.callback(ctx, param, value)

    param.process_value = process
    return param


def _see(ctx: Any) -> str:
    return f"See {_path(ctx)} --help."


_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _command(name: str, verb: Verb) -> _Command:
    module = importlib.import_module(f"casync_cli.commands.{verb.module}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(
        name, cls=_Command, help=f"{verb.summary}\n\n{module.DETAILS}", context_settings=_SETTINGS
    )(module.run)
    command = cast(_Command, get_command(app))
    command.examples = module.EXAMPLES
    command.own_signals = verb.own_signals
    command.params = [_light(param) for param in command.params]
    if verb.remote:
        own = {name for param in command.params for name in param.opts}
        command.params += [param for param in _parameters(remote) if not own & {*param.opts}]
    command.params += _parameters(common)
    return command


def _group(
    table: dict[str, Verb],
    examples: tuple[str, ...],
    summary: str,
    *,
    completion: bool = False,
) -> _Group:
    app = typer.Typer(add_completion=completion, rich_markup_mode=None)
    app.callback(cls=_Group, help=summary, invoke_without_command=True, context_settings=_SETTINGS)(
        _help_if_bare
    )
    group = cast(_Group, get_command(app))
    group.table = table
    group.examples = examples
    group.params = [_light(param) for param in group.params] + _parameters(common)
    return group


def _help_if_bare(ctx: typer.Context) -> None:
    """The callback of a group, which lists its commands if none is given."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def program() -> _Group:
    """The command `casync`."""
    summary = "Replicate large, changing data; move only the chunks that the receiver lacks."
    return _group(VERBS, _EXAMPLES, summary, completion=True)
