"""Which names are believed: the rules one by one, with a server that lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from casync.errors import IntegrityError, LostRaceError, NoNameError, UntrustedError, UsageError
from casync.fs.seen_versions import SeenVersions
from casync.ids import ManifestId
from casync.names.name import Name, NameRecord, parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.names.signing import SigningKey
from casync.ops.trust import Trust, sign_next, trusted_ref
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import put_manifest

pytestmark = pytest.mark.stores("lmdb")

NOW = 1_800_000_000.0
KEY = SigningKey.new()
NAME = parse_name("vm/stable")
REF = parse_ref("vm/stable:etc/passwd")


class Liar:
    """A server that shows what a test tells it to show."""

    def __init__(self, *records: NameRecord) -> None:
        self.records = list(records)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        return iter(self.records[-1:])

    def history(self, name: Name) -> list[NameRecord]:
        return self.records


@pytest.fixture
def memory(tmp_path: Path) -> SeenVersions:
    return SeenVersions(tmp_path / "state" / "seen")


def publish(
    store: LmdbStore, plain: bytes, expires: float = 0.0, key: SigningKey = KEY
) -> NameRecord:
    manifest = put_manifest(store, plain)
    return store.set_name(sign_next(key, NAME, manifest, store, now=NOW, expires=expires))


def believed(
    source: object, memory: SeenVersions, text: str = "vm/stable", now: float = NOW, **options: bool
) -> ManifestId | None:
    trust = Trust(frozenset([KEY.public]), **options)
    return trusted_ref(parse_ref(text), source, trust, memory, now).manifest  # type: ignore[arg-type]


def test_a_name_signed_by_a_trusted_key_is_believed(store: LmdbStore, memory: SeenVersions) -> None:
    for plain in (b"1", b"2"):
        record = publish(store, plain)
        assert believed(store, memory) == record.manifest
        assert believed(store, memory) == record.manifest
    ref = trusted_ref(REF, store, Trust(frozenset([KEY.public])), memory, NOW)
    assert (ref.manifest, ref.path, ref.name) == (record.manifest, "etc/passwd", None)
    hash_ = "ab" * 32
    assert believed(store, memory, hash_) == bytes.fromhex(hash_)  # a hash needs no trust
    with pytest.raises(NoNameError):
        believed(store, memory, "vm/stabl")
    with pytest.raises(NoNameError):
        believed(store, memory, "vm/stable@9")


def test_signed_versions_survive_the_trash_and_a_reindex(tmp_path: Path, store: LmdbStore) -> None:
    one, two = publish(store, b"1"), publish(store, b"2")
    store.remove([parse_ref("vm/stable@1")])
    store.restore([parse_ref("vm/stable@1")])
    assert store.history(NAME) == [one, two]
    store.close()
    reindex(tmp_path / "store")
    with LmdbStore.open(tmp_path / "store") as again:
        assert again.history(NAME) == [one, two]


def test_a_signed_claim_must_be_about_the_next_version(store: LmdbStore) -> None:
    one = publish(store, b"1")
    manifest = put_manifest(store, b"2")
    update = sign_next(KEY, NAME, manifest, store, now=NOW)
    with pytest.raises(UsageError, match="the signed claim is not"):
        store.set_name(update._replace(name=parse_name("other"), expected=0))
    with pytest.raises(UsageError, match="the signed claim is not"):
        store.set_name(update._replace(manifest=put_manifest(store, b"3")))
    with pytest.raises(UsageError):
        store.set_name(update._replace(signed=b"nonsense"))
    two = store.set_name(update)
    assert store.set_name(update) == two  # a retry after a lost answer
    other = put_manifest(store, b"4")
    with pytest.raises(LostRaceError):
        store.set_name(
            sign_next(KEY, parse_name("vm/stable"), other, _At(2), now=NOW)._replace(expected=None)
        )
    # Signing the same manifest again makes a new version.
    three = publish(store, b"2", expires=NOW + 9)
    assert (three.version, three.manifest) == (3, two.manifest)
    store.remove([parse_ref("vm/stable")])
    assert publish(store, b"5").version == 4
    assert one.version == 1


class _At:
    """A publisher whose next version is `number`."""

    def __init__(self, number: int) -> None:
        self._number = number

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        return self._number, None


def test_a_name_without_a_trusted_signature_is_not_believed(
    store: LmdbStore, memory: SeenVersions
) -> None:
    publish(store, b"1", key=SigningKey.new())
    with pytest.raises(UntrustedError, match=r"vm/stable@1 cannot be trusted: it is signed by"):
        believed(store, memory)
    manifest = put_manifest(store, b"2")
    store.set_name(NameUpdate(NAME, manifest))
    for text in ("vm/stable", "vm/stable@2"):
        with pytest.raises(UntrustedError, match="not signed"):
            believed(store, memory, text)


def test_a_record_that_differs_from_its_claim_is_not_believed(
    store: LmdbStore, memory: SeenVersions
) -> None:
    record = publish(store, b"1")
    for change in (
        {"manifest": b"\0" * 32},
        {"version": 2},
        {"name": "vm/stable", "signed": record.signed[:-1]},
    ):
        with pytest.raises(UntrustedError):
            believed(Liar(msgspec.structs.replace(record, **change)), memory)
    other = msgspec.structs.replace(record, name="vm/other")
    with pytest.raises(UntrustedError, match="another version"):
        believed(Liar(other), memory, "vm/other")


def test_an_older_version_is_not_believed(store: LmdbStore, memory: SeenVersions) -> None:
    one, two = publish(store, b"1"), publish(store, b"2")
    old = Liar(one)
    assert believed(old, memory) == one.manifest  # no later version was seen before
    assert believed(store, memory) == two.manifest
    with pytest.raises(UntrustedError, match="version 2 was seen before"):
        believed(old, memory)
    assert believed(Liar(one, two), memory, "vm/stable@1") == one.manifest
    with pytest.raises(UntrustedError, match="version 2 was seen before"):
        believed(old, memory)
    assert believed(old, memory, allow_rollback=True, dry_run=True) == one.manifest
    with pytest.raises(UntrustedError):
        believed(old, memory)
    assert believed(old, memory, allow_rollback=True) == one.manifest
    assert believed(old, memory) == one.manifest


def test_one_version_is_one_manifest(
    tmp_path: Path, store: LmdbStore, memory: SeenVersions
) -> None:
    believed_one = publish(store, b"1")
    assert believed(store, memory) == believed_one.manifest
    with LmdbStore.open(tmp_path / "fork", create=True) as fork:
        publish(fork, b"another first version")
        with pytest.raises(UntrustedError, match="was seen before with another manifest"):
            believed(fork, memory)


def test_an_expired_claim_is_not_believed(store: LmdbStore, memory: SeenVersions) -> None:
    record = publish(store, b"1", expires=NOW + 100)
    assert believed(store, memory, now=NOW + 99) == record.manifest
    for rollback in (False, True):
        with pytest.raises(UntrustedError, match="expired"):
            believed(store, memory, now=NOW + 100, allow_rollback=rollback)
    assert believed(store, memory, "vm/stable@1", now=NOW + 100) == record.manifest


def test_seen_versions_are_kept_by_key_and_name(
    tmp_path: Path, memory: SeenVersions, store: LmdbStore
) -> None:
    record = publish(store, b"1")
    believed(store, memory, dry_run=True)
    assert list((tmp_path / "state").rglob("*.json")) == []
    believed(store, memory)
    (file,) = (tmp_path / "state").rglob("*.json")
    seen = SeenVersions(tmp_path / "state" / "seen").last(KEY.public, NAME)
    assert seen is not None
    assert (seen.version, seen.manifest) == (1, record.manifest.hex())
    assert memory.last(KEY.public, "vm") is None
    assert memory.last(SigningKey.new().public, NAME) is None
    file.write_bytes(b"")
    with pytest.raises(IntegrityError, match="last seen version"):
        believed(store, memory)
