"""The verbs, and how Typer comes to know only the one that is asked for.

A verb is a line in a table. Its module is imported when it is run or its own help is wanted, and
imports the library only when it works: that keeps `casync --help`, completion and usage errors
fast. Must not know what the verbs do.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from casync.errors import UsageError
from casync_cli.options import common, remote
from casync_cli.signals import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GROUPS", "VERBS", "Verb", "program"]


class Verb(NamedTuple):
    """One command.

    Attributes:
        module: Where its function `run`, its `DETAILS` and its `EXAMPLES` are.
        summary: One line of help.
        remote: Whether it takes the options for servers.
        own_signals: Whether it lets signals through itself.
    """

    module: str
    summary: str
    remote: bool = False
    own_signals: bool = False


VERBS: Final[dict[str, Verb]] = {
    "prepare": Verb("prepare", "Put a file or a folder into the store and print its hash."),
    "serve": Verb("serve", "Serve the store over HTTP.", own_signals=True),
    "pull": Verb("pull", "Rebuild a file or a folder, fetching only what is not here.", True),
    "push": Verb("push", "Give a server what it lacks of a manifest, and a name.", True),
    "ls": Verb("ls", "List names and manifests, or what is in a folder.", True),
    "show": Verb("show", "Show what a hash or name stands for.", True),
    "cat": Verb("cat", "Write content, or a part of it, to stdout.", True),
    "check": Verb("check", "Compare a file or folder on disk with a manifest.", True),
    "diff": Verb("diff", "List what changed from one manifest to another.", True),
    "name": Verb("", "Set names, and show what they pointed to."),
    "key": Verb("", "Make keys to sign names with."),
    "rm": Verb("rm", "Move names and manifests into the trash.", True),
    "undelete": Verb("undelete", "Take names and manifests out of the trash.", True),
    "forget": Verb("forget", "Move old versions of names into the trash."),
    "gc": Verb("gc", "Delete what no manifest needs, and free its room."),
    "verify": Verb("verify", "Check what is stored against its hashes."),
    "repair": Verb("repair", "Fetch again what is damaged or missing in the store.", True),
    "bench": Verb("bench", "Measure what a transfer from one file to the next would cost."),
    "store": Verb("", "Look after the store itself."),
    "token": Verb("", "Say who may use servers of the store."),
    "config": Verb("", "Show the settings, and where they come from."),
}

_NAME_VERBS: Final[dict[str, Verb]] = {
    "set": Verb("name_set", "Point a name to a manifest.", True),
    "log": Verb("name_log", "List all versions of a name.", True),
}

_KEY_VERBS: Final[dict[str, Verb]] = {
    "new": Verb("key_new", "Make a private key, and print the public one."),
    "show": Verb("key_show", "Print the public key of a private one."),
}

_STORE_VERBS: Final[dict[str, Verb]] = {
    "stats": Verb("store_stats", "Show what the store holds and how much room it takes."),
    "reindex": Verb("store_reindex", "Rebuild the index, or salvage a damaged store file."),
    "compact": Verb("store_compact", "Return unused room of the store to the disk."),
    "backup": Verb("store_backup", "Copy the store while it is in use."),
}

_TOKEN_VERBS: Final[dict[str, Verb]] = {
    "new": Verb("token_new", "Make a token and print it."),
    "ls": Verb("token_ls", "List the tokens."),
    "revoke": Verb("token_revoke", "Make tokens good for nothing."),
}

_CONFIG_VERBS: Final[dict[str, Verb]] = {
    "show": Verb("config_show", "Show what holds, and who says so.", True),
}

_EXAMPLES: Final = (
    "casync prepare --name vm/1 < vm.img       keep a version, print its hash",
    "casync serve                              let others pull it",
    "casync pull vm/1 -o vm.img --server URL   fetch only what is missing",
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
    "casync store reindex --salvage /broken/data.mdb --store /new/store",
)

GROUPS: Final[dict[str, tuple[dict[str, Verb], tuple[str, ...]]]] = {
    "name": (_NAME_VERBS, _NAME_EXAMPLES),
    "key": (_KEY_VERBS, _KEY_EXAMPLES),
    "store": (_STORE_VERBS, _STORE_EXAMPLES),
    "token": (_TOKEN_VERBS, ("casync token new --scope write --names 'builds/'",)),
    "config": (_CONFIG_VERBS, ("casync config show",)),
}
"""Verbs that have verbs of their own, and examples of them."""


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
    """A group that knows its commands by a table."""

    table: dict[str, Verb]
    examples: tuple[str, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

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
        for example in examples:
            formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


@cache
def _parameters(declaration: Callable[..., None]) -> list[Any]:
    """The parameters that Typer makes of a function's signature."""
    app = typer.Typer(add_completion=False)
    app.command()(declaration)
    return [_light(param) for param in get_command(app).params]


def _names(declaration: Callable[..., None]) -> set[str]:
    return {param.name for param in _parameters(declaration)}


def _light(param: Any) -> Any:
    """Makes a parameter hand on its text or flag as it is.

    All our parameters are text, flags and lists of text; Typer would load pydantic to find out.
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
    command.params += _parameters(remote) if verb.remote else []
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
    app.callback(cls=_Group, help=summary, context_settings=_SETTINGS)(_nothing)
    group = cast(_Group, get_command(app))
    group.table = table
    group.examples = examples
    group.params = [_light(param) for param in group.params] + _parameters(common)
    return group


def _nothing() -> None:
    """A group does nothing itself."""


def program() -> _Group:
    """The whole command."""
    summary = "Replicate large, changing data and move only the chunks that the receiver lacks."
    return _group(VERBS, _EXAMPLES, summary, completion=True)
