"""Reads from addresses: the part of `api` for remote sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import BinaryIO, Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.errors import NotFoundError, UsageError
from casync.fs.exclude import Exclusion
from casync.fs.paths import StrPath
from casync.fs.scan_cache import ScanCache
from casync.fs.source.base import Source
from casync.fs.source.file import open_source
from casync.ids import Kind
from casync.jobs.address import parse_address, redacted
from casync.objects.manifest import decode_manifest
from casync.ops.prepare import unpack as _unpack
from casync.ops.prepare.address import prepare_address
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.object import prepare_object
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.ops.pull_folder.replicate import replicate
from casync.remote.sources.base import ADDRESS_STEP, Listed, RemoteSource, Replica
from casync.remote.sources.by_folder import list_all
from casync.remote.sources.described import described
from casync.remote.sources.open import Sources, is_address
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.remote_object import RemoteObject
from casync.remote.sources.sorted_folder import sorted_folder
from casync.store.lmdb.store import LmdbStore
from casync.store.proved import ProvedReader

__all__ = ["UrlEntry", "get", "list_url", "prepare_archive", "prepare_url"]

_ASKERS: Final = 16
"""Objects that are asked for concurrently."""


def prepare_url(
    address: str,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    exclude: Sequence[str] = (),
    exclude_regex: Sequence[str] = (),
    access: SourceOptions = SourceOptions(),
    progress: Progress = SILENT,
) -> Prepared | FolderPrepared:
    """Puts an object of a source into `store`, or all objects below a prefix as a tree.

    Args:
        address: Such as `s3://BUCKET/KEY`: the object with this key, if there is one; otherwise,
            and with a slash at the end, everything below it.
        store: The store.
        options: How to prepare.
        exclude: Patterns of what to leave out, in the syntax of .gitignore.
        exclude_regex: Regular expressions on paths below the prefix, with the same effect.
        access: How to reach the source.
        progress: Advances by every byte.

    Raises:
        CasyncError: As `Sources.open` and `prepare_address`.
    """
    with Sources(access) as sources:
        source, key = sources.open(address)
        replica = _replica(address, source, key)
        if replica is not None:
            return replicate(replica.manifest, store, replica.server, options, progress)
        return prepare_address(
            source,
            key,
            store,
            options,
            excluded=Exclusion(exclude, exclude_regex),
            scan_cache=ScanCache(store.path / "folders"),
            progress=progress,
        )


def prepare_archive(
    archive: StrPath | BinaryIO,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    exclude: Sequence[str] = (),
    exclude_regex: Sequence[str] = (),
    access: SourceOptions = SourceOptions(),
    progress: Progress = SILENT,
) -> FolderPrepared:
    """Puts the members of an archive into `store`, as a tree.

    Args:
        archive: A path, an open binary stream, or an address such as `https://HOST/a.tgz`.
        store: The store.
        options: How to prepare. An expected SHA-256 is that of the archive.
        exclude: Patterns of what to leave out, in the syntax of .gitignore.
        exclude_regex: Regular expressions on paths in the archive, with the same effect.
        access: How to reach an address.
        progress: Advances by every byte of the archive.

    Raises:
        NotFoundError: There is no such archive.
        CasyncError: As `Sources.open` and `casync.ops.prepare.unpack.prepare_archive`.
    """
    with ExitStack() as stack:
        if isinstance(archive, str) and is_address(archive):
            source, key = stack.enter_context(Sources(access)).open(archive)
            opened: Source = RemoteObject(source, _object(source, key, archive))
        else:
            opened = file = open_source(archive)
            stack.enter_context(closing(file))
        return _unpack.prepare_archive(
            opened,
            store,
            options,
            excluded=Exclusion(exclude, exclude_regex),
            progress=progress,
        )


def get(
    address: str,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    access: SourceOptions = SourceOptions(),
    progress: Progress = SILENT,
) -> Prepared:
    """Puts one object of a source into `store`, unless it is there and unchanged.

    Args:
        address: The object, such as `https://host/path`.
        store: The store.
        options: How to prepare, and the name that it gets.
        access: How to reach the source.
        progress: Advances by every byte.

    Raises:
        NotFoundError: There is no such object.
        UsageError: The address is that of a folder.
        CasyncError: As `Sources.open` and `prepare_object`.
    """
    with Sources(access) as sources:
        source, key = sources.open(address)
        _check_is_object(source, key, address)
        replica = _replica(address, source, key)
        if replica is not None:
            return _get_replica(replica, address, store, options, progress)
        listed = _object(source, key, address)
        scan_cache = ScanCache(store.path / "folders")
        return prepare_object(
            source, listed, store, options, scan_cache=scan_cache, progress=progress
        )


def _check_is_object(source: RemoteSource, key: str, address: str) -> None:
    if not key or key.endswith("/"):
        raise UsageError(
            f"{source.label}/{key} is a folder",
            next_step=f"Run `casync prepare {redacted(address)}`, or name an object.",
        )


def _object(source: RemoteSource, key: str, address: str) -> Listed:
    """The object at an address.

    Raises:
        UsageError: The address is that of a folder.
        NotFoundError: There is no such object.
    """
    _check_is_object(source, key, address)
    listed = source.find(key)
    if listed is None:
        raise NotFoundError(
            f"there is no object {source.label}/{key}",
            next_step="`casync download` takes templates."
            if re.search(r"[{*]", key)
            else ADDRESS_STEP,
        )
    return listed


def _replica(address: str, source: RemoteSource, key: str) -> Replica | None:
    """The manifest of a name of another casync server; None for folders of names, and elsewhere.

    Raises:
        CasyncError: As `RemoteSource.open`.
    """
    if not parse_address(address).names_manifests or not key or key.endswith("/"):
        return None
    answer = source.open(key)
    assert answer is not None
    answer.close()
    return answer.replica


def _get_replica(
    replica: Replica,
    address: str,
    store: LmdbStore,
    options: PrepareOptions,
    progress: Progress,
) -> Prepared:
    """Fetches what the store lacks of a file of another server.

    Raises:
        UsageError: It is a folder.
        CasyncError: As `replicate`.
    """
    data = ProvedReader(replica.server).one(Kind.MANIFEST, replica.manifest)
    if decode_manifest(data).kind != "file":
        raise UsageError(
            f"{redacted(address)} is a folder",
            next_step=f"Run `casync prepare {redacted(address)}`.",
        )
    got = replicate(replica.manifest, store, replica.server, options, progress)
    assert isinstance(got, Prepared)
    return got


class UrlEntry(NamedTuple):
    """An entry of a listed address.

    Attributes:
        path: Its path below the address; that of a folder ends with a slash.
        listed: The object; None for a folder. One whose `is_key` is false cannot be read.
    """

    path: str
    listed: Listed | None


def list_url(
    address: str,
    *,
    recursive: bool = False,
    times: bool = False,
    access: SourceOptions = SourceOptions(),
) -> Iterator[UrlEntry]:
    """Lists a folder or a bucket, with sizes; or the one object at an address.

    Args:
        address: A folder or prefix, with a slash at the end; or an object.
        recursive: List all objects below it, instead of its objects and folders.
        times: Ask for each object of which a listing says no time.
        access: How to reach the source.

    Raises:
        NotFoundError: There is nothing at the address.
        CasyncError: As `Sources.open`, and as `RemoteSource.list_folder`.
    """
    with Sources(access) as sources, ThreadPoolExecutor(_ASKERS) as executor:
        source, key = sources.open(address)
        if key and not key.endswith("/"):
            listed = source.find(key)
            if listed is not None:
                yield UrlEntry(key.rpartition("/")[2], listed)
                return
            if re.search(r"[{}*]", key):
                raise NotFoundError(
                    f"there is no object {redacted(address)}",
                    next_step="`ls` takes no templates; `casync download SOURCE DEST --dry-run` "
                    "lists what one stands for.",
                )
            key += "/"
        below = list_all(source, key) if recursive else sorted_folder(source, key)
        keys = ((one.key, one) for one in below)

        def asks(name: str, one: Listed) -> bool:
            lacks = one.size is None or (times and one.validators.last_modified is None)
            return lacks and one.is_key and not name.endswith("/")

        count = 0
        for name, one in described(source, keys, asks, executor):
            count += 1
            is_folder = name.endswith("/") and one.is_key
            yield UrlEntry(name.removeprefix(key), None if is_folder else one)
        if not count and (key or recursive):
            raise NotFoundError(
                f"there is no object below {source.label}/{key}", next_step=ADDRESS_STEP
            )
