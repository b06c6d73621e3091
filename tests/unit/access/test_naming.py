"""A signed name is set in the step that publishes its manifest, or not at all."""

from __future__ import annotations

import io
from functools import partial

import pytest

from casync.access.naming import Publisher
from casync.errors import LostRaceError
from casync.fs.source.stream import StreamSource
from casync.ids import ManifestId
from casync.names.name import Name, parse_name
from casync.names.name_update import NameUpdate
from casync.names.signing import SigningKey, check_signed
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.prepared import Prepared
from casync.ops.trust import signing
from casync.store.lmdb.store import LmdbStore

pytestmark = pytest.mark.stores("lmdb")

KEY = SigningKey.new()
NAME = parse_name("vm")


def prepared(store: LmdbStore, data: bytes, options: PrepareOptions) -> Prepared:
    return prepare(StreamSource(io.BytesIO(data)), store, options)


def test_each_version_is_signed(store: LmdbStore) -> None:
    options = PrepareOptions(name=NAME, signer=partial(signing(KEY), store))
    commits: list[list[Name]] = []
    for data in (b"1", b"2", b"2"):
        prepared(store, data, options)
        commits.append([Name(record.name) for record in store.history(NAME)])
    assert [len(names) for names in commits] == [1, 2, 2]
    for record in store.history(NAME):
        _, claim = check_signed(record.signed, [KEY.public])
        assert (claim.version, claim.manifest) == (record.version, record.manifest)


def test_a_signed_name_loses_to_a_faster_writer(store: LmdbStore) -> None:
    other = prepared(store, b"other", PrepareOptions()).manifest

    def slow(place: Publisher, name: Name, manifest: ManifestId) -> NameUpdate:
        said = signing(KEY)(place, name, manifest)
        store.set_name(NameUpdate(name, other))
        return said

    with pytest.raises(LostRaceError):
        prepared(store, b"1", PrepareOptions(name=NAME, signer=partial(slow, store)))
    assert [record.manifest for record in store.history(NAME)] == [other]


def test_an_unchanged_name_loses_to_a_faster_writer(store: LmdbStore) -> None:
    options = PrepareOptions(name=NAME, signer=partial(signing(KEY), store))
    prepared(store, b"1", options)
    other = prepared(store, b"other", PrepareOptions()).manifest

    def slow(place: Publisher, name: Name, manifest: ManifestId) -> NameUpdate:
        said = signing(KEY)(place, name, manifest)
        assert said == NameUpdate(name, manifest, 1)
        store.set_name(NameUpdate(name, other))
        return said

    with pytest.raises(LostRaceError):
        prepared(store, b"1", PrepareOptions(name=NAME, signer=partial(slow, store)))
    assert all(record.signed for record in store.history(NAME) if record.manifest != other)
