"""What is at an address: a casync server, or a static site.

The first request goes out as to a casync server, so that one costs nothing more. What refuses it in
a way that no casync server would is looked at again: the marker of a site tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import Final, Self, TypeVar

from casync.errors import (
    CasyncError,
    DeniedError,
    RemoteError,
    RemoteProtocolError,
    UnsupportedError,
    UsageError,
)
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed
from casync.objects.delta import Delta, Group
from casync.objects.node import Content
from casync.remote.http.peers import Peers
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.remote.site.site import StaticSite
from casync.store.base import Absence, ManifestRow, ObjectStat, Traffic
from casync.store.server import Server

__all__ = ["ServerAt", "servers_at", "telling_sites"]

_FOREIGN: Final = frozenset({RemoteError, RemoteProtocolError, DeniedError})
"""Classes of the refusals by something that is no casync server. Not their subclasses."""

_CHECK_STEP: Final = (
    "Check the address: that of a server, or of the folder of a static site, where `store` lies."
)

_Result = TypeVar("_Result")


def servers_at(urls: Sequence[str], options: TransportOptions, stack: ExitStack) -> list[Server]:
    """The servers at several addresses, which stand in for each other.

    Args:
        urls: The addresses.
        options: Options of the transport.
        stack: Closes them.

    Raises:
        UsageError: An address or an option is invalid.
    """
    among = replace(options, peers=Peers(urls))
    return [stack.enter_context(ServerAt(url, among)) for url in urls]


@contextmanager
def telling_sites(url: str, options: TransportOptions | None = None) -> Iterator[None]:
    """Says of what refuses to be written that it is a static site, if it is one.

    Args:
        url: The address.
        options: Options of the transport.

    Raises:
        UsageError: There is a site.
    """
    try:
        yield
    except CasyncError as error:
        if type(error) in _FOREIGN:
            with closing(StaticSite(url, options)) as site:
                if _is_there(site):
                    raise _unwritable(site.place) from error
        raise


def _is_there(site: StaticSite) -> bool:
    with suppress(CasyncError):
        return site.is_there()
    return False


def _unwritable(place: str) -> UsageError:
    return UsageError(
        f"{place} is a static site, which only `casync publish` changes",
        next_step="Give it the folder or the bucket of the site; --remove removes names.",
    )


class ServerAt:
    """A `Server`: the casync server or the static site at an address.

    Args:
        url: The address.
        options: Options of the transport.

    Raises:
        UsageError: The address or an option is invalid.
    """

    def __init__(self, url: str, options: TransportOptions | None = None) -> None:
        self._url = url
        self._options = options
        self._server: RemoteClient | StaticSite = RemoteClient(url, options)
        self._before = Traffic(0, 0, 0)
        self._is_known = False
        self._expected: list[ManifestId] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """As `Server.close`."""
        self._server.close()

    @property
    def origin(self) -> str:
        """As `Server.origin`."""
        return self._server.origin

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user about the connection."""
        return self._server.warnings

    @property
    def traffic(self) -> Traffic:
        """As `Server.traffic`."""
        return self._before + self._server.traffic

    @property
    def deltas_pay(self) -> bool:
        """As `Server.deltas_pay`."""
        return self._server.deltas_pay

    def expects(self, manifest: ManifestId) -> None:
        """As `Server.expects`."""
        self._expected.append(manifest)
        self._server.expects(manifest)

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        return self._each(lambda server: server.get(kind, ids))

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """As `Server.get_groups`."""
        return self._each(lambda server: server.get_groups(kind, groups))

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        return self._one(lambda server: server.stat(kind, ids))

    def manifests(self) -> Iterator[ManifestRow]:
        """As `ManifestSource.manifests`."""
        return self._each(lambda server: server.manifests())

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        return self._one(lambda server: server.manifest(ident))

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`."""
        return self._each(lambda server: server.names(prefix))

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`."""
        return self._one(lambda server: server.history(name))

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`."""
        return self._one(lambda server: server.resolve(ref))

    def archive_index(self, manifest: ManifestId, path: bytes) -> Content | None:
        """As `IndexServer.archive_index`."""
        return self._one(lambda server: server.archive_index(manifest, path))

    def _one(self, ask: Callable[[RemoteClient | StaticSite], _Result]) -> _Result:
        try:
            result = ask(self._server)
        except CasyncError as error:
            if not self._is_site(error):
                raise
            return ask(self._server)
        self._is_known = True
        return result

    def _each(
        self, ask: Callable[[RemoteClient | StaticSite], Iterator[_Result]]
    ) -> Iterator[_Result]:
        try:
            for answer in ask(self._server):
                self._is_known = True
                yield answer
        except CasyncError as error:
            if not self._is_site(error):
                raise
        else:
            return
        yield from ask(self._server)

    def _is_site(self, error: CasyncError) -> bool:
        """Whether a site is there, as what refused the first request; asks it from now on."""
        if self._is_known or type(error) not in _FOREIGN:
            return False
        self._is_known = True
        site = StaticSite(self._url, self._options)
        try:
            found = site.is_there()
        except UnsupportedError:
            site.close()
            raise
        except CasyncError as refusal:
            site.close()
            raise type(error)(
                f"{self.origin} is neither a casync server nor a static site that can be read:"
                f" {refusal.message}",
                next_step=refusal.next_step,
            ) from refusal
        if not found:
            if type(error) is RemoteError:
                error.next_step = _CHECK_STEP
            self._before += site.traffic
            site.close()
            return False
        self._before += self._server.traffic
        self._server.close()
        self._server = site
        for manifest in self._expected:
            site.expects(manifest)
        return True
