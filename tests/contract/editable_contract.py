"""The contract of stores and servers whose names and trash can be changed.

A test module derives from `EditableContract` and provides `store`, with the content; a server
overrides `place` with what changes that store.
"""

from __future__ import annotations

import pytest

from casync.errors import IncompleteError, LostRaceError, NoNameError, RemoteError, UsageError
from casync.ids import ManifestId
from casync.names.name import Ref, parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.names.signing import SigningKey, check_signed
from casync.ops.trust import sign_next
from casync.store.base import ManifestState
from casync.store.writable import Editable, WritableStore
from tests.contract.store_contract import put_manifest

LONG = "/".join(["x" * 200] * 4)  # too long to be a key of a row
NAME = parse_name("disk")
WRONG = (UsageError, RemoteError)  # the latter from a server


def refs(*texts: str) -> list[Ref]:
    return [parse_ref(text) for text in texts]


def listed(store: WritableStore) -> tuple[set[ManifestId], list[str]]:
    names = list(store.names())
    versions = [f"{r.name}@{r.version}" for n in names for r in store.history(parse_name(n.name))]
    return {row.id for row in store.manifests()}, versions


def labels(place: Editable) -> list[str]:
    return [
        f"{r.record.name}@{r.record.version}" if r.record else r.manifest.hex()
        for r in place.removed()
    ]


class EditableContract:
    @pytest.fixture
    def place(self, store: WritableStore) -> Editable:
        return store

    def test_a_name_moves_only_from_the_expected_version(
        self, store: WritableStore, place: Editable
    ) -> None:
        one, two, three = (put_manifest(store, plain) for plain in (b"1", b"2", b"3"))

        def move(ident: ManifestId, expected: int) -> int:
            return place.set_name(NameUpdate(NAME, ident, expected)).version

        with pytest.raises(LostRaceError):
            move(one, 1)
        assert list(store.names()) == []
        assert move(one, 0) == 1
        assert move(one, 0) == 1  # a retry after a lost answer
        assert move(one, 1) == 1  # it points there already
        with pytest.raises(LostRaceError):
            move(two, 0)
        assert [move(two, 1), move(two, 1), move(three, 2)] == [2, 2, 3]
        assert move(two, 1) == 2  # another retry, after a later move
        with pytest.raises(LostRaceError):
            move(three, 1)
        assert [record.manifest for record in store.history(NAME)] == [one, two, three]

    def test_a_name_may_point_to_a_whole_manifest_only(
        self, store: WritableStore, place: Editable
    ) -> None:
        outline = put_manifest(store, b"outline", state=ManifestState.OUTLINE)
        for ident in (outline, ManifestId(bytes(32))):
            with pytest.raises(IncompleteError):
                place.set_name(NameUpdate(NAME, ident))
        assert list(store.names()) == []

    def test_a_signed_claim_is_kept_and_must_be_about_the_next_version(
        self, store: WritableStore, place: Editable
    ) -> None:
        key = SigningKey.new()
        one, two = put_manifest(store, b"1"), put_manifest(store, b"2")
        assert place.upcoming(NAME) == (1, None)
        update = sign_next(key, NAME, one, place, now=1)
        with pytest.raises(WRONG, match="the signed claim is not"):
            place.set_name(update._replace(manifest=two))
        record = place.set_name(update)
        assert place.set_name(update) == record  # a retry after a lost answer
        assert check_signed(record.signed, [key.public])[1].manifest == one
        assert place.upcoming(NAME) == (2, record)
        late = sign_next(key, NAME, two, place, now=1)
        place.set_name(NameUpdate(NAME, two))
        with pytest.raises(LostRaceError):
            place.set_name(late)
        with pytest.raises(LostRaceError, match="was signed"):
            place.set_name(late._replace(expected=None))

    @pytest.mark.parametrize("name", ["disk", LONG])
    def test_removing_a_name_removes_the_manifests_that_only_it_leads_to(
        self, store: WritableStore, place: Editable, name: str
    ) -> None:
        one = put_manifest(store, b"1", name)
        two = put_manifest(store, b"2", name)
        three = put_manifest(store, b"3", name, "other")
        before = listed(store)
        planned = place.removal(refs(name))
        assert listed(store) == before
        assert place.remove(refs(name)) == planned
        assert [record.version for record in planned.versions] == [1, 2, 3]
        assert set(planned.manifests) == {one, two}
        assert not planned.more
        assert listed(store) == ({three}, ["other@1"])
        assert labels(place) == [f"{name}@{version}" for version in (1, 2, 3)]
        for text in (name, f"{name}@1", one.hex()):
            with pytest.raises(NoNameError):
                store.resolve(parse_ref(text))
        assert store.manifest(one) is None

        assert place.restore(refs(name)) == planned
        assert listed(store) == before
        assert labels(place) == []

    def test_one_version_of_many_can_be_removed_and_restored(
        self, store: WritableStore, place: Editable
    ) -> None:
        one, two, three = (put_manifest(store, plain, "disk") for plain in (b"1", b"2", b"3"))
        assert place.remove(refs("disk@2")).manifests == [two]
        assert listed(store) == ({one, three}, ["disk@1", "disk@3"])
        place.remove(refs("disk@3"))
        assert store.resolve(parse_ref("disk")) == one
        assert place.upcoming(NAME)[0] == 4
        assert put_manifest(store, b"4", "disk")
        assert listed(store)[1] == ["disk@1", "disk@4"]  # numbers are not used twice
        place.restore(refs("disk"))
        assert listed(store)[1] == ["disk@1", "disk@2", "disk@3", "disk@4"]
        assert store.resolve(parse_ref("disk@2")) == two
        assert store.resolve(parse_ref("disk")) != three

    def test_a_removed_name_keeps_its_count_of_versions(
        self, store: WritableStore, place: Editable
    ) -> None:
        first = put_manifest(store, b"1", "disk")
        put_manifest(store, b"2", "disk")
        place.remove(refs("disk"))
        put_manifest(store, b"3", "disk")
        assert listed(store)[1] == ["disk@3"]
        place.remove(refs("disk"))
        assert place.upcoming(NAME) == (4, None)
        put_manifest(store, b"1")
        place.set_name(NameUpdate(NAME, first, 0))
        assert listed(store)[1] == ["disk@4"]

    def test_a_manifest_can_be_removed_when_no_name_leads_to_it(
        self, store: WritableStore, place: Editable
    ) -> None:
        bare = put_manifest(store, b"bare")
        named = put_manifest(store, b"named", "disk")
        put_manifest(store, b"later", "disk")
        with pytest.raises(WRONG, match="disk@1"):
            place.remove(refs(named.hex()))
        assert place.remove(refs(bare.hex())).manifests == [bare]
        assert labels(place) == [bare.hex()]
        assert place.remove(refs("disk@1", "disk@2")).versions
        assert place.restore(refs(bare.hex())).manifests == [bare]
        assert place.restore(refs(named.hex())).versions == []
        assert {row.id for row in store.manifests()} == {bare, named}

    @pytest.mark.parametrize(
        "texts", [["disk", "unknown"], ["disk", "0" * 64], ["disk@1", "disk@7"]]
    )
    def test_removal_is_all_or_nothing(
        self, store: WritableStore, place: Editable, texts: list[str]
    ) -> None:
        put_manifest(store, b"1", "disk")
        before = listed(store)
        for remove in (place.removal, place.remove):
            with pytest.raises(NoNameError):
                remove(refs(*texts))
        assert listed(store) == before
        place.remove(refs("disk"))
        with pytest.raises(NoNameError):
            place.restore(refs(*texts))
        assert listed(store) == (set(), [])

    def test_content_that_is_put_again_leaves_the_trash(
        self, store: WritableStore, place: Editable
    ) -> None:
        ident = put_manifest(store, b"1", "disk")
        place.remove(refs("disk"))
        assert put_manifest(store, b"1") == ident
        assert listed(store) == ({ident}, [])
        assert labels(place) == ["disk@1"]
        assert place.restore(refs("disk")).manifests == []
        assert listed(store) == ({ident}, ["disk@1"])
