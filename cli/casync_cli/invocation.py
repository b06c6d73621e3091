"""One run of the program: its options, and the objects that commands build from them.

`settings` merges options, environment and files. The library is imported inside functions, so a
command loads only the parts that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from casync.errors import NoNameError, UsageError
from casync.fs.os_errors import read_error
from casync_cli.environment import Variables, aws_files
from casync_cli.outages import Outages
from casync_cli.output import Output
from casync_cli.parsing.counts import parse_count
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.raw_options import CommonOptions, RemoteOptions
from casync_cli.parsing.sizes import parse_rate
from casync_cli.parsing.times import parse_duration
from casync_cli.placing_damage import placing_damage
from casync_cli.progress import Meter, NotesOnly
from casync_cli.store_place import folder_of, is_address, open_place

if TYPE_CHECKING:
    import typer

    from casync.access.progress import Progress
    from casync.remote.server.jobs_client import JobsClient
    from casync.remote.server.transport_options import TransportOptions
    from casync.remote.server.write_client import WritingClient
    from casync.remote.sources.options import SourceOptions
    from casync.store.base import ManifestSource, Removed
    from casync.store.jobs import Jobs
    from casync.store.lmdb.store import LmdbStore
    from casync_cli.settings import Settings
    from casync_cli.short_ids import ShowId

__all__ = ["Invocation", "invocation_of"]

_MAX_CONNECTIONS = 256
_MAX_TOKEN_BYTES = 64 * 1024


class Invocation:
    """The context of a command.

    Args:
        environment: Settings from the environment.
        stdout: Stream for data.
        stderr: Stream for messages.

    Attributes:
        common: Options of every command.
        remote: Options for servers.
        resume: Next step for a user who interrupts the command now, or whose server is lost.
        outages: Tells the user of lost servers.
    """

    def __init__(self, environment: Variables, stdout: TextIO, stderr: TextIO) -> None:
        self.environment = environment
        self.common = CommonOptions()
        self.remote = RemoteOptions()
        self.output = Output(stdout, stderr, self.common, colour=environment.colour)
        self.resume = ""
        self.outages = Outages(self.output)
        self._exposed: set[Path] = set()  # files that were warned of

    @property
    def store_path(self) -> Path:
        """The folder of the store."""
        return folder_of(self.store)

    @property
    def store(self) -> str:
        """The folder or the address of the store."""
        store = self.settings["store"].value
        if store is None:
            raise UsageError(
                "there is no home for the default store",
                next_step="Give --store DIR, or set HOME.",
            )
        return str(store)

    @cached_property
    def settings(self) -> Settings:
        """The settings in effect."""
        from casync_cli.settings import Settings

        return Settings(self.common, self.remote, self.environment)

    @property
    def servers(self) -> list[str]:
        """The servers, for commands that accept several."""
        return list(self.settings["servers"].value or ())

    def open_store(
        self, *, create: bool = False, read_only: bool = False, allow_network_fs: bool = False
    ) -> LmdbStore:
        """Opens the local store, and prints its warnings.

        Raises:
            CasyncError: As `LmdbStore.open`.
        """
        opened = partial(
            open_place, self.store, self.source_options, allow_network_fs=allow_network_fs
        )
        return self._shown(opened(create=create, read_only=read_only))

    def _shown(self, store: LmdbStore) -> LmdbStore:
        self.output.detail(f"store {store.place}")
        self.warn_of(store.warnings)
        return store

    def readable_store(self, *, keeps_indexes: bool) -> LmdbStore:
        """As `open_store`, to read it; writable if indexes are to be kept and it can be."""
        if not keeps_indexes or is_address(self.store):
            return self.open_store(read_only=not keeps_indexes)
        from casync.store.lmdb.namespaces import open_for_reading

        return self._shown(open_for_reading(self.store_path))

    @contextmanager
    def source(self, *, keeps_indexes: bool = False) -> Iterator[ManifestSource]:
        """Opens the server on the command line, or else the local store.

        Args:
            keeps_indexes: Members of archives may be read: the store keeps their indexes.

        Raises:
            UsageError: More than one server, or options for servers without a server.
            CasyncError: The source cannot be opened.
        """
        if self.asks_server():
            from casync.remote.site.server_at import ServerAt
            from casync.store.proved import OTHER_SERVER_STEP

            servers = self.remote.server
            with ServerAt(servers[0], self.transport(servers)) as client:
                self.warn_of(client.warnings)
                with placing_damage(client.origin, OTHER_SERVER_STEP):
                    yield client
            return
        with (
            self.pointing_to_servers(),
            self.readable_store(keeps_indexes=keeps_indexes) as store,
            placing_damage(f"store {store.place}"),
        ):
            yield store

    @contextmanager
    def tended(self, *, read_only: bool = False) -> Iterator[LmdbStore | WritingClient]:
        """As `source`, but to change names and the trash.

        Args:
            read_only: Nothing will be changed.

        Raises:
            UsageError, CasyncError: As `source`.
        """
        if self.asks_server():
            from casync.remote.server.write_client import WritingClient
            from casync.remote.site.server_at import telling_sites

            url, options = self.remote.server[0], self.transport(self.remote.server)
            with telling_sites(url, options), WritingClient(url, options) as client:
                self.warn_of(client.warnings)
                yield client
            return
        with self.pointing_to_servers(), self.open_store(read_only=read_only) as store:
            yield store

    @contextmanager
    def jobs(self, *, read_only: bool = False) -> Iterator[Jobs]:
        """The jobs of the server on the command line, or else of the local store.

        Raises:
            UsageError, CasyncError: As `source`.
        """
        if self.asks_server():
            with self.jobs_client() as client:
                yield client
            return
        with self.open_store(read_only=read_only) as store:
            yield store.jobs

    @contextmanager
    def jobs_client(self) -> Iterator[JobsClient]:
        """The jobs of the server on the command line."""
        from casync.remote.server.jobs_client import JobsClient

        servers = self.remote.server
        with JobsClient(servers[0], self.transport(servers)) as client:
            self.warn_of(client.warnings)
            yield client

    def job_command(self, words: str) -> str:
        """A command about jobs as the user can repeat it: `casync job WORDS`, with its place.

        That is the server, or else the store; options for the source are of `job start` alone.
        """
        reaching = [*self.remote.repeated()]
        if not self.remote.server:
            reaching = [*self.common.repeated(), *(reaching if words.startswith("start ") else ())]
        return " ".join((f"casync job {words}", *reaching))

    def shown_ids(self, source: ManifestSource, *, is_local: bool | None = None) -> ShowId:
        """How listings show the hashes of `source`: short for people, if it is the local store.

        Args:
            source: A store or a server.
            is_local: Whether it is the local store; by default, unless a server is given.
        """
        from casync_cli.short_ids import full_id, short_in

        local = not self.remote.server if is_local is None else is_local
        return short_in(source) if local and self.output.to_terminal else full_id

    def shown_removed(self, removed: Callable[[], Iterable[Removed]]) -> ShowId:
        """As `shown_ids`, for hashes that are in the trash: `undelete` takes them.

        Args:
            removed: Lists the trash.
        """
        from casync_cli.short_ids import full_id, short_among

        if self.remote.server or not self.output.to_terminal:
            return full_id
        return short_among(entry.manifest for entry in removed())

    @contextmanager
    def pointing_to_servers(self) -> Iterator[None]:
        """Adds to errors about names that are not in the store that a server may have them."""
        try:
            yield
        except NoNameError as error:
            step = f"{error.next_step} Name a server with --server URL."
            raise NoNameError(error.message, next_step=step.lstrip()) from error

    def asks_server(self, source: str = "", *, unused: Collection[str] = ()) -> bool:
        """As `RemoteOptions.asks_server`."""
        return self.remote.asks_server(source, unused)

    def warn_of(self, warnings: list[str]) -> None:
        """Prints warnings."""
        for warning in warnings:
            self.output.say(f"warning: {warning}")

    def transport(self, servers: list[str]) -> TransportOptions:
        """Options for connections to `servers`. A given token is only for the first one.

        Raises:
            UsageError: A value is invalid.
            CasyncError: A token's file cannot be read.
        """
        from casync.remote.http.address import origin_of
        from casync.remote.http.rate_limit import RateLimit
        from casync.remote.server.transport_options import TransportOptions

        given, settings = self.remote, self.settings
        ca, proxy, limit = (settings[key].value for key in ("ca", "proxy", "limit"))
        tokens = {}
        authorities = {}
        for url, said in settings.of_servers():
            if "token_file" in said:
                tokens[origin_of(url)] = self._read_secret(Path(str(said["token_file"])), "token")
            if "ca" in said and given.ca is None and not self.environment.ca:
                authorities[origin_of(url)] = Path(str(said["ca"]))
        token = self._token()
        if token and servers:
            tokens[origin_of(servers[0])] = token
        return TransportOptions(
            tokens=tokens,
            ca=None if ca is None else parse_path(str(ca), "--ca"),
            authorities=authorities,
            insecure=given.insecure,
            insecure_http=given.insecure_http,
            proxy=str(proxy) if proxy else None,
            proxy_auth=self._proxy_auth() if proxy else "",
            watch=self.outages,
            limit=RateLimit(parse_rate(str(limit))) if limit else None,
            connections=self.connections,
            retry_for=parse_duration(str(settings["retry_for"].value)),
        )

    def source_options(self, address: str = "") -> SourceOptions:
        """Options for URLs and buckets.

        Args:
            address: The source; the token is for it, if that is a casync server.

        Raises:
            UsageError: A value is invalid.
            CasyncError: A file cannot be read.
        """
        from casync.remote.sources.options import SourceOptions
        from casync_cli.aws_profile import read_profile

        environment, settings = self.environment, self.settings
        ca, proxy = (settings[key].value for key in ("ca", "proxy"))
        profile = environment.s3_profile
        s3 = {} if profile is None else read_profile(aws_files(environment), profile)
        az = dict(environment.az)
        return SourceOptions(
            casync=partial(self._casync_options, address),
            s3_endpoint=environment.s3_endpoint or s3.pop("endpoint", None),
            s3_ca=environment.s3_ca,
            s3=s3,
            gs_endpoint=environment.gs_endpoint,
            az_endpoint=az.pop("endpoint", None),
            az=az,
            ca=None if ca is None else parse_path(str(ca), "--ca"),
            proxy=str(proxy) if proxy else None,
            proxy_auth=self._proxy_auth() if proxy else "",
            watch=self.outages,
            retry_for=parse_duration(str(settings["retry_for"].value)),
        )

    def _casync_options(self, address: str) -> TransportOptions:
        """Options for the casync server of a source, if it is one."""
        from casync.remote.sources.casync_server import server_of

        server = server_of(address)
        return self.transport([] if server is None else [server.origin])

    @property
    def connections(self) -> int:
        """Number of concurrent requests."""
        said = self.settings["connections"].value
        return parse_count(str(said), "--connections", 1, _MAX_CONNECTIONS)

    def _proxy_auth(self) -> str:
        """User and password for the proxy."""
        said = self.settings["proxy_auth"]
        path = None if said.value is None else parse_path(str(said.value), "--proxy-auth")
        text = self._read_secret(path, "password") if path else self.environment.proxy_auth or ""
        if (text and ":" not in text) or not text.isprintable():
            raise UsageError(
                f"not a user and a password for the proxy: {path or 'CASYNC_PROXY_AUTH'}",
                next_step="Write them in one line as USER:PASSWORD.",
            )
        return text

    def _token(self) -> str | None:
        """The token from the command line or the environment."""
        given = self.remote.token_file
        path = self.environment.token_file if given is None else parse_path(given, "--token-file")
        return self.environment.token if path is None else self._read_secret(path, "token")

    def _read_secret(self, path: Path, what: str) -> str:
        from casync.fs.secret import exposure

        warning = exposure(path)
        if warning and path not in self._exposed:
            self._exposed.add(path)
            self.warn_of([warning])
        return _read_secret(path, what)

    def progress(self) -> AbstractContextManager[Progress]:
        """Shows progress, as the options and the terminal require."""
        wanted = self.common.progress
        if wanted is False or (self.common.quiet and not wanted):
            return nullcontext(NotesOnly(self.output))
        self.outages.in_bar = wanted is True or self.output.talks_to_terminal
        return Meter(
            self.output,
            as_bar=self.outages.in_bar,
            outage=lambda: self.outages.text,
            columns=lambda: self.output.bar_columns,
        )


def _read_secret(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            secret = file.read(_MAX_TOKEN_BYTES).decode("ascii").strip()
    except OSError as error:
        raise read_error(error, f"the {what} in {path}") from error
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        raise UsageError(f"{path} does not contain a {what}")
    return secret


def invocation_of(ctx: typer.Context) -> Invocation:
    """The invocation of a command's context."""
    assert isinstance(ctx.obj, Invocation)
    return ctx.obj
