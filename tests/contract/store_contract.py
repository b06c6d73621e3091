"""The contract of every store, whatever holds its bytes.

A test module derives from `StoreContract` and provides `store`. A source that cannot be written,
like the HTTP client, derives from `SourceContract`, provides `store` as well, and overrides
`source` with a view of that store.
"""

from __future__ import annotations

import itertools
import random

import pytest

from casync.errors import LostRaceError, NoNameError, NoObjectError, UsageError
from casync.fs.identity import FileIdentity
from casync.ids import EMPTY_ID, Kind, ManifestId, ObjectId, chunk_id
from casync.names.name import Ref, parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.codec import Codec, Packed, Packer, Unpacker, Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content
from casync.objects.record import ChunkRecords, encode_record
from casync.store.base import (
    Absence,
    Batch,
    ManifestSource,
    ManifestState,
    ObjectStat,
    ObjectStore,
    RememberedFile,
)

FULL, OUTLINE = ManifestState.FULL, ManifestState.OUTLINE


def pack(plain: bytes, kind: Kind = Kind.CHUNK) -> Verified:
    return Packer().pack_new(kind, plain)


def noise(length: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(length)


def small_manifest(plain: bytes) -> tuple[Verified, Verified]:
    """A one-chunk content: its chunk and its manifest, both packed."""
    content = Content(0, chunk_id(plain), len(plain))
    data = encode_manifest(Manifest("file", DEFAULT_PARAMS, content))
    return pack(plain), pack(data, Kind.MANIFEST)


def put_manifest(
    store: ObjectStore, plain: bytes, *names: str, state: ManifestState = FULL
) -> ManifestId:
    chunk, manifest = small_manifest(plain)
    ident = ManifestId(manifest.id)
    objects = [chunk, manifest] if state is FULL else [manifest]
    store.commit(
        Batch(
            objects=objects,
            manifests=[(ident, state, len(plain))],
            names=[NameUpdate(parse_name(name), ident) for name in names],
        )
    )
    return ident


def recorded(packed: list[Verified]) -> ChunkRecords:
    """Chunks as the processes that cut hand them over."""
    records = [
        encode_record(kind, codec, length, ident, payload) + payload
        for kind, ident, codec, length, payload in packed
    ]
    return ChunkRecords(
        ids_of(packed),
        [item.length for item in packed],
        [len(record) for record in records],
        memoryview(b"".join(records)),
    )


def ids_of(packed: list[Verified]) -> list[ObjectId]:
    return [item.id for item in packed]


class SourceContract:
    """Reading."""

    @pytest.fixture
    def source(self, store: ObjectStore) -> ManifestSource:
        return store

    def test_gives_back_what_was_put(self, store: ObjectStore, source: ManifestSource) -> None:
        plains = [b"a", b"text " * 500, noise(70_000), noise(1_500_000), bytes(3_000_000)]
        packed = [pack(plain) for plain in plains]
        store.commit(Batch(objects=packed))
        answers = list(source.get(Kind.CHUNK, ids_of(packed)))
        assert answers == [Packed(*item) for item in packed]
        assert all(type(item.payload) is bytes for item in answers if isinstance(item, Packed))
        unpacker = Unpacker()
        assert [unpacker.unpack(a) for a in answers if isinstance(a, Packed)] == plains

    def test_answers_in_the_order_asked(self, store: ObjectStore, source: ManifestSource) -> None:
        packed = [pack(noise(5000, seed)) for seed in range(300)]
        store.commit(Batch(objects=packed))
        missing = chunk_id(b"absent")
        asked = [*ids_of(packed), missing]
        random.Random(1).shuffle(asked)
        asked += asked[:5]  # asking twice is allowed
        by_id = {item.id: Packed(*item) for item in packed}
        expected = [by_id.get(ident, Absence.MISSING) for ident in asked]
        assert list(source.get(Kind.CHUNK, asked)) == expected

    def test_can_be_left_early(self, store: ObjectStore, source: ManifestSource) -> None:
        packed = [pack(noise(50_000, seed)) for seed in range(50)]
        store.commit(Batch(objects=packed))
        answers = source.get(Kind.CHUNK, ids_of(packed))
        assert list(itertools.islice(answers, 3)) == [Packed(*item) for item in packed[:3]]
        del answers
        assert len(list(source.get(Kind.CHUNK, ids_of(packed)))) == 50

    def test_a_slow_reader_blocks_no_writer(
        self, store: ObjectStore, source: ManifestSource
    ) -> None:
        packed = [pack(noise(50_000, seed)) for seed in range(200)]
        store.commit(Batch(objects=packed))
        answers = source.get(Kind.CHUNK, ids_of(packed))
        first = next(answers)
        later = pack(b"written while the reader pauses")
        store.commit(Batch(objects=[later]))
        assert [first, *answers] == [Packed(*item) for item in packed]

    def test_many_more_ids_than_one_batch(self, store: ObjectStore, source: ManifestSource) -> None:
        packed = [pack(b"%d" % number) for number in range(3000)]
        store.commit(Batch(objects=packed))
        assert list(source.get(Kind.CHUNK, ids_of(packed))) == [Packed(*item) for item in packed]
        assert None not in source.stat(Kind.CHUNK, ids_of(packed))

    def test_kinds_do_not_mix(self, store: ObjectStore, source: ManifestSource) -> None:
        packed = pack(b"some bytes")
        store.commit(Batch(objects=[packed]))
        for kind in (Kind.NODE, Kind.MANIFEST):
            assert list(source.get(kind, [packed.id])) == [Absence.MISSING]
            assert source.stat(kind, [packed.id]) == [None]

    def test_asking_for_nothing_gives_nothing(
        self, store: ObjectStore, source: ManifestSource
    ) -> None:
        assert list(source.get(Kind.CHUNK, [])) == []
        assert source.stat(Kind.CHUNK, []) == []

    def test_stat_tells_sizes(self, store: ObjectStore, source: ManifestSource) -> None:
        zipped, raw = pack(bytes(10_000)), pack(noise(10_000))
        assert (zipped.codec, raw.codec) == (Codec.ZSTD, Codec.RAW)
        store.commit(Batch(objects=[zipped, raw]))
        assert source.stat(Kind.CHUNK, [raw.id, EMPTY_ID, zipped.id]) == [
            ObjectStat(10_000, 10_000),
            None,
            ObjectStat(10_000, len(zipped.payload)),
        ]

    def test_lists_full_manifests_in_order(
        self, store: ObjectStore, source: ManifestSource
    ) -> None:
        idents = sorted(put_manifest(store, b"content %d" % number) for number in range(20))
        rows = list(source.manifests())
        assert [row.id for row in rows] == idents
        assert {row.state for row in rows} == {FULL}
        assert {row.length for row in rows} <= {len(b"content 1"), len(b"content 10")}

    def test_names_and_their_versions(self, store: ObjectStore, source: ManifestSource) -> None:
        old = put_manifest(store, b"old", "images/one", "images/two", "other")
        new = put_manifest(store, b"new", "images/two")
        assert [(r.name, r.version, r.manifest) for r in source.names()] == [
            ("images/one", 1, old),
            ("images/two", 2, new),
            ("other", 1, old),
        ]
        assert [r.name for r in source.names("images/")] == ["images/one", "images/two"]
        assert [r.name for r in source.names("images/two/")] == []
        history = source.history(parse_name("images/two"))
        assert [(r.version, r.manifest) for r in history] == [(1, old), (2, new)]
        assert source.history(parse_name("images")) == []

    def test_resolves_names_and_hashes(self, store: ObjectStore, source: ManifestSource) -> None:
        old = put_manifest(store, b"old", "label")
        new = put_manifest(store, b"new", "label")
        for text, ident in [
            ("label", new),
            ("label@1", old),
            ("label@2", new),
            (old.hex(), old),
            (f"{old.hex()}:inside", old),
        ]:
            assert source.resolve(parse_ref(text)) == ident
        for text in ("label@3", "nothing", "lab", "label/x", "00" * 32):
            with pytest.raises(NoNameError):
                source.resolve(parse_ref(text))

    def test_names_in_any_alphabet_and_length(
        self, store: ObjectStore, source: ManifestSource
    ) -> None:
        stem = "/".join(["x" * 200] * 4)
        labels = [f"{stem}/{tail}" for tail in ("b", "a", "ä", "a/1", "a" * 200)]
        labels += ["x", "é", "日本", "x" * 255, stem, stem[:471], stem[:470], stem[:472]]
        put_manifest(store, b"content", *labels)
        assert [r.name for r in source.names()] == sorted(labels)
        assert [r.name for r in source.names(stem)] == sorted(
            label for label in labels if label.startswith(stem)
        )
        for label in labels:
            assert [r.name for r in source.history(parse_name(label))] == [label]


class StoreContract(SourceContract):
    """Writing, and reads that only a store offers."""

    def test_records_are_stored_as_their_chunks(self, store: ObjectStore) -> None:
        packed = [pack(noise(40_000, seed)) for seed in range(60)] + [pack(b"text " * 500)]
        node = pack(b"a node", Kind.NODE)
        store.commit(Batch(objects=packed[10:20]))
        blocks = [recorded(packed[:40]), recorded(packed[40:])]
        committed = store.commit(Batch(objects=[*packed[35:45], node], records=blocks))
        new = [*packed[:10], *packed[20:], node]
        assert committed.objects == len(new)
        assert committed.stored == sum(len(item.payload) for item in new)
        assert list(store.get(Kind.CHUNK, ids_of(packed))) == [Packed(*item) for item in packed]
        assert store.commit(Batch(records=blocks)).objects == 0

    def test_resolves_prefixes(self, store: ObjectStore) -> None:
        ident = put_manifest(store, b"some content")
        for digits in (8, 9, 31, 63):
            assert store.resolve(parse_ref(ident.hex()[:digits])) == ident
        other = f"{int(ident.hex()[:8], 16) ^ 1:08x}"
        with pytest.raises(NoNameError):
            store.resolve(parse_ref(other))

    def test_counts_only_what_is_new(self, store: ObjectStore) -> None:
        first, second = pack(noise(1000, 1)), pack(noise(2000, 2))
        assert store.commit(Batch(objects=[first, first])) == (1, len(first.payload), [])
        assert store.commit(Batch(objects=[first, second])) == (1, len(second.payload), [])
        assert store.commit(Batch()) == (0, 0, [])

    def test_knows_what_is_here(self, store: ObjectStore) -> None:
        packed = pack(b"here")
        store.commit(Batch(objects=[packed]))
        assert store.known(Kind.CHUNK, [EMPTY_ID, packed.id]) == [False, True]
        assert store.known(Kind.NODE, [packed.id]) == [False]

    def test_lists_its_objects(self, store: ObjectStore) -> None:
        packed = [pack(b"%d" % number) for number in range(9000)]
        chunk, manifest = small_manifest(b"content")
        store.commit(Batch(objects=[*packed, chunk, manifest]))
        assert list(store.objects(Kind.CHUNK)) == sorted([*ids_of(packed), chunk.id])
        assert sorted(store.by_place(Kind.CHUNK)) == list(store.objects(Kind.CHUNK))
        assert list(store.objects(Kind.MANIFEST)) == [manifest.id]
        assert list(store.objects(Kind.NODE)) == []

    def test_many_commits_add_up(self, store: ObjectStore) -> None:
        packed = [pack(noise(3000 + seed, seed)) for seed in range(400)]
        for start in range(0, 400, 7):
            store.commit(Batch(objects=packed[start : start + 7]))
        assert list(store.get(Kind.CHUNK, ids_of(packed))) == [Packed(*item) for item in packed]

    def test_largest_objects(self, store: ObjectStore) -> None:
        packed = [pack(noise(16 * 2**20, 1)), pack(b"small"), pack(noise(2**20, 2))]
        store.commit(Batch(objects=packed))
        store.commit(Batch(objects=[pack(b"after")]))
        assert list(store.get(Kind.CHUNK, ids_of(packed))) == [Packed(*item) for item in packed]

    def test_all_or_nothing(self, store: ObjectStore) -> None:
        chunk, manifest = small_manifest(b"content")
        ident = ManifestId(manifest.id)
        name = parse_name("label")
        file = RememberedFile(b"/f", FileIdentity(1, 2, 3, 4, 5), ident, True)
        with pytest.raises(NoObjectError):
            store.commit(Batch([chunk], [(ident, FULL, 7)], [], [file]))
        with pytest.raises(NoObjectError):
            store.commit(Batch([chunk, manifest], [], [NameUpdate(name, ident)], [file]))
        with pytest.raises(NoObjectError):
            store.commit(Batch([chunk, manifest], [(ident, OUTLINE, 7)], [NameUpdate(name, ident)]))
        assert store.known(Kind.CHUNK, [chunk.id]) == [False]
        assert store.manifest(ident) is None
        assert store.recall(b"/f") is None
        # A refused batch is the caller's mistake; the store still works.
        store.commit(
            Batch([chunk, manifest], [(ident, FULL, 7)], [NameUpdate(name, ident)], [file])
        )
        assert store.resolve(parse_ref("label")) == ident

    def test_an_outline_is_not_listed_or_resolved(self, store: ObjectStore) -> None:
        ident = put_manifest(store, b"content", state=OUTLINE)
        row = store.manifest(ident)
        assert row is not None
        assert (row.state, row.length) == (OUTLINE, 7)
        assert list(store.manifests()) == []
        for ref in (ident.hex(), ident.hex()[:12]):
            with pytest.raises(NoNameError):
                store.resolve(parse_ref(ref))
        put_manifest(store, b"content")
        assert [row.id for row in store.manifests()] == [ident]

    def test_a_full_manifest_stays_full(self, store: ObjectStore) -> None:
        ident = put_manifest(store, b"content")
        put_manifest(store, b"content", state=OUTLINE)
        row = store.manifest(ident)
        assert row is not None
        assert row.state is FULL

    def test_a_name_that_stays_makes_no_version(self, store: ObjectStore) -> None:
        name = parse_name("label")
        ident = put_manifest(store, b"content", "label")
        (record,) = store.commit(Batch(names=[NameUpdate(name, ident)])).names
        assert (record.version, record.manifest) == (1, ident)
        assert store.history(name) == [record]

    def test_a_name_moved_twice_in_a_batch(self, store: ObjectStore) -> None:
        name = parse_name("label")
        one, two = put_manifest(store, b"1"), put_manifest(store, b"2")
        records = store.commit(
            Batch(names=[NameUpdate(name, ident) for ident in (one, two, one)])
        ).names
        assert [(r.version, r.manifest) for r in records] == [(1, one), (2, two), (3, one)]
        assert store.history(name) == records

    def test_each_move_of_a_batch_has_its_own_expected_version(self, store: ObjectStore) -> None:
        name = parse_name("label")
        one, two = put_manifest(store, b"1"), put_manifest(store, b"2")
        with pytest.raises(LostRaceError):
            store.commit(Batch(names=[NameUpdate(name, one, 0), NameUpdate(name, two, 0)]))
        assert store.history(name) == []
        updates = [NameUpdate(name, one, 0), NameUpdate(name, two, 1)]
        assert [record.version for record in store.commit(Batch(names=updates)).names] == [1, 2]

    def test_the_manifests_that_a_batch_relies_on_must_be_full(self, store: ObjectStore) -> None:
        full = put_manifest(store, b"full")
        outline = put_manifest(store, b"outline", state=OUTLINE)
        absent = ManifestId(bytes(32))
        loose = pack(b"loose")
        for relied in (outline, absent):
            with pytest.raises(NoObjectError):
                store.commit(Batch(objects=[loose], relies=[full, relied]))
        assert store.known(Kind.CHUNK, [loose.id]) == [False]
        assert store.commit(Batch(objects=[loose], relies=[full])).objects == 1

    def test_the_manifests_whose_nodes_a_batch_relies_on_must_be_here(
        self, store: ObjectStore
    ) -> None:
        full = put_manifest(store, b"full")
        outline = put_manifest(store, b"outline", state=OUTLINE)
        loose = pack(b"loose")
        with pytest.raises(NoObjectError):
            store.commit(Batch(objects=[loose], outlines=[outline, ManifestId(bytes(32))]))
        assert store.known(Kind.CHUNK, [loose.id]) == [False]
        assert store.commit(Batch(objects=[loose], outlines=[full, outline])).objects == 1

    def test_a_prefix_of_several_hashes_is_ambiguous(self, store: ObjectStore) -> None:
        # Ids that share 8 digits cannot be made at will, so this prefix is too short for a ref.
        idents = sorted(put_manifest(store, b"%d" % number) for number in range(600))
        common, shared = max(
            (
                (a.hex()[:digits], digits)
                for a, b in itertools.pairwise(idents)
                for digits in range(1, 9)
                if a.hex()[:digits] == b.hex()[:digits]
            ),
            key=lambda pair: pair[1],
        )
        assert shared >= 2
        with pytest.raises(UsageError):
            store.resolve(Ref(prefix=common))

    def test_remembers_files(self, store: ObjectStore) -> None:
        def file(path: bytes, inode: int) -> RememberedFile:
            return RememberedFile(path, FileIdentity(1, inode, 3, 4, 5), bytes(32), True)

        long = b"/" + b"\xff" * 4000
        store.commit(Batch(remember=[file(b"/a", 1), file(b"/b", 2)]))
        store.commit(Batch(remember=[file(long, 3)]))
        assert [f.path for f in store.remembered()] == [long, b"/b", b"/a"]
        store.commit(Batch(remember=[file(b"/a", 9)]))
        assert [f.path for f in store.remembered()] == [b"/a", long, b"/b"]
        recalled = store.recall(b"/a")
        assert recalled is not None
        assert recalled.identity.inode == 9
        store.commit(Batch(forget=[long, b"/never"]))
        assert [f.path for f in store.remembered()] == [b"/a", b"/b"]
        assert store.recall(long) is None
        store.commit(Batch(forget=[b"/b"], remember=[file(b"/b", 5)]))
        assert [f.path for f in store.remembered()] == [b"/b", b"/a"]
