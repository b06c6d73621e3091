"""Members of archives on servers: the index of the server is used, and never believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from casync_server.options import Upstream

from casync.access.index_store import store_index
from casync.access.locate import open_file
from casync.access.member_indexes import indexes_of
from casync.access.outline import open_outline
from casync.archives.gzip_points import GzipPoints
from casync.archives.index_layout import member_order
from casync.archives.index_writing import encode_index
from casync.archives.layers import open_layer
from casync.archives.member import Member, MemberKind
from casync.errors import IntegrityError
from casync.ids import Kind
from casync.names.name import parse_ref
from casync.objects.node import Content
from casync.ops.archive.chosen import Choice
from casync.ops.archive.extract import extract
from casync.ops.archive.list_members import archive_and_path
from casync.ops.archive.member_input import MembersTar
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from casync.training.members import members as members_of
from tests.support.archive_bytes import BytesReader
from tests.support.peer import Answer, Fault, Peer, Seen, sends
from tests.support.program import Program
from tests.support.serving import Server, put_file, serving

NOISE = random.Random(7)
MEMBERS = {f"d/{n:03}.bin": NOISE.randbytes(20_000) for n in range(300)}
LAST = "d/299.bin"


def tar_of(members: dict[str, bytes] = MEMBERS) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(members: dict[str, bytes], *, streamed: bool = False) -> bytes:
    out = io.BytesIO()
    target = Unseekable(out) if streamed else out
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


class Unseekable(io.RawIOBase):
    """What makes zipfile write data descriptors."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._out.write(data)


ARCHIVES = {
    "a.tar": tar_of(),
    "a.tgz": gzip.compress(tar_of(), 1),
    "a.zip": zip_of(MEMBERS),
    "s.zip": zip_of(MEMBERS, streamed=True),
    "a.msgpack": msgspec.msgpack.encode(MEMBERS),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "store"
    with LmdbStore.open(path, create=True) as store:
        for name, data in ARCHIVES.items():
            put_file(store, data, name=name)
    return path


@pytest.fixture(scope="module")
def server(path: Path) -> Iterator[Server]:
    with serving(path) as server:
        yield server


def read(client: RemoteClient, ref: str) -> bytes:
    found = open_file(parse_ref(ref), client)
    return b"".join(map(bytes, found.read(0, found.length)))


def asking(peer: Peer) -> RemoteClient:
    return RemoteClient(peer.url, TransportOptions(retry_for=0))


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_member_costs_its_own_bytes_and_little_of_the_index(server: Server, name: str) -> None:
    """A2"""
    with RemoteClient(server.url) as client:
        assert read(client, f"{name}:{LAST}") == MEMBERS[LAST]
        needed = 4_500_000 if name == "a.tgz" else 600_000  # gzip reads from a point on
        assert client.traffic.received < needed < len(ARCHIVES[name])


@pytest.mark.parametrize("name", ARCHIVES)
def test_listing_fetches_the_index_alone(server: Server, name: str) -> None:
    """A5"""
    with RemoteClient(server.url) as client:
        members = list(archive_and_path(parse_ref(name), client)[0].members())
        assert [one.path.decode() for one in members] == sorted(MEMBERS)
        assert client.traffic.received < 100_000


def test_many_opens_ask_for_the_index_once(path: Path) -> None:
    with LmdbStore.open(path) as store:
        archive_and_path(parse_ref("a.tar"), store)[0]
        index = store.member_index(
            open_outline(store.resolve(parse_ref("a.tar")), store).content.id
        )
        assert index is not None

        def says(seen: Seen) -> Fault | None:
            return gives(index) if "/index" in seen.target else None

        with Peer(store, says) as peer, asking(peer) as client:
            indexes = indexes_of(client)
            for number in range(20):
                ref = parse_ref(f"a.tar:d/{number:03}.bin")
                found = open_file(ref, client, indexes=indexes)
                assert b"".join(map(bytes, found.read(0, 5))) == MEMBERS[f"d/{number:03}.bin"][:5]
            assert sum("/index" in seen.target for seen in peer.seen) == 1


def gives(content: Content) -> Fault:
    item = {"level": content.level, "id": content.id.hex(), "length": content.length}
    text = json.dumps(item)
    return sends(Answer(200, "application/json", text.encode()))


@pytest.mark.parametrize("name", ARCHIVES)
def test_without_an_index_on_the_server_it_is_made_here(path: Path, name: str) -> None:
    """An earlier server knows no such request."""
    with (
        LmdbStore.open(path, read_only=True) as store,
        Peer(store) as peer,
        asking(peer) as client,
    ):
        assert read(client, f"{name}:{LAST}") == MEMBERS[LAST]
        assert any("/index" in seen.target for seen in peer.seen)


Edit = Callable[[list[Member]], list[Member]]


class Liar:
    """A server whose index of an archive is changed."""

    def __init__(
        self, data: bytes, name: str, edit: Callable[[list[Member]], list[Member]]
    ) -> None:
        self.store = MemoryStore()
        put_file(self.store, data, name=name)
        archive = archive_and_path(parse_ref(name), self.store)[0]
        index = archive.index
        rows = sorted(edit(list(index.members())), key=member_order)
        self.kind = index.kind
        blocks = list(encode_index(rows, index.kind, index.length, index.points()))
        self.content = store_index(blocks, b"x" * 32, self.store, again=False)

    def __call__(self, seen: Seen) -> Fault | None:
        return gives(self.content) if "/index" in seen.target else None


def read_from_liar(liar: Liar, ref: str) -> bytes:
    with Peer(liar.store, liar) as peer, asking(peer) as client:
        return read(client, ref)


def changed(**fields: object) -> Edit:
    def edit(rows: list[Member]) -> list[Member]:
        return [
            msgspec.structs.replace(one, **fields) if one.path == b"wanted" else one for one in rows
        ]

    return edit


def swapped(rows: list[Member]) -> list[Member]:
    wanted, other = (next(one for one in rows if one.path == name) for name in NAMES)
    return [
        msgspec.structs.replace(other, path=wanted.path),
        msgspec.structs.replace(wanted, path=other.path),
    ]


def unique() -> dict[str, bytes]:
    """Members of an archive of which no earlier test has made an index in this process."""
    return {"wanted": NOISE.randbytes(5000), "other": NOISE.randbytes(5000)}


NAMES = [b"wanted", b"other"]
MAKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "l.tar": tar_of,
    "l.tgz": lambda members: gzip.compress(tar_of(members)),
    "l.zip": zip_of,
    "l.msgpack": msgspec.msgpack.encode,
}
LIES = {
    "another member": swapped,
    "another offset": changed(offset=512 + 100),
    "another header": changed(header=100),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", MAKERS)
def test_a_lying_index_is_an_error_that_names_the_server(name: str, lie: str) -> None:
    liar = Liar(MAKERS[name](unique()), name, LIES[lie])
    with pytest.raises(IntegrityError, match=r"http://127.0.0.1:\d+: the index of the archive is"):
        read_from_liar(liar, f"{name}:wanted")


@pytest.mark.parametrize("name", MAKERS)
def test_an_index_of_members_beyond_the_end_is_made_again(name: str) -> None:
    members = unique()
    lie = changed(header=10**9, offset=10**9 + 512)
    liar = Liar(MAKERS[name](members), name, lie)
    assert read_from_liar(liar, f"{name}:wanted") == members["wanted"]


@pytest.mark.parametrize("name", ["l.tar", "l.msgpack", "l.tgz"])
def test_a_length_that_is_cut_short_is_an_error(name: str) -> None:
    liar = Liar(MAKERS[name](unique()), name, changed(length=100, stored=100))
    with pytest.raises(IntegrityError):
        read_from_liar(liar, f"{name}:wanted")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_zip_member_that_is_cut_short_is_read_whole(streamed: bool) -> None:
    """The checksum in an index may be that of fewer bytes."""
    members = unique()
    short = changed(length=100, stored=100, crc=zlib.crc32(members["wanted"][:100]))
    liar = Liar(zip_of(members, streamed=streamed), "l.zip", short)
    assert read_from_liar(liar, "l.zip:wanted") == members["wanted"]


def test_a_hard_link_that_is_none_is_an_error() -> None:
    lie = changed(kind=MemberKind.HARDLINK, target=b"other", header=8192, length=0, stored=0)
    liar = Liar(tar_of(unique()), "l.tar", lie)
    with pytest.raises(IntegrityError):
        read_from_liar(liar, "l.tar:wanted")


def tar_with_link() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, type_ in (("wanted", tarfile.SYMTYPE), (NOISE.randbytes(8).hex(), b"0")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, "x" if name == "wanted" else ""
            archive.addfile(info)
    return out.getvalue()


def zip_with_link() -> bytes:
    info, out = zipfile.ZipInfo("wanted"), io.BytesIO()
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, b"x")
        archive.writestr(NOISE.randbytes(8).hex(), b"")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "lie"),
    [
        ("l.tar", tar_with_link, changed(target=b"/etc/passwd")),
        ("l.tgz", lambda: gzip.compress(tar_with_link()), changed(target=b"/etc/passwd")),
        ("l.zip", zip_with_link, changed(target=b"/etc/passwd")),
        ("l.tar", lambda: tar_of(unique()), changed(mode=0o6755)),
        ("l.tar", lambda: tar_of(unique()), changed(kind=MemberKind.SYMLINK, target=b"/etc")),
        ("l.tar", lambda: tar_of(unique()), changed(kind=MemberKind.FOLDER, length=0)),
    ],
)
def test_links_folders_and_modes_of_an_index_that_lies_are_not_made(
    tmp_path: Path, name: str, data: Callable[[], bytes], lie: Edit
) -> None:
    liar = Liar(data(), name, lie)
    with Peer(liar.store, liar) as peer, asking(peer) as client:
        choice = Choice(archive_and_path(parse_ref(name), client)[0])
        said = r"http://127.0.0.1:\d+: the index of the archive is wrong about wanted"
        with pytest.raises(IntegrityError, match=said):
            extract(choice, name, tmp_path / "out")
        with pytest.raises(IntegrityError, match=said):
            list(MembersTar(choice, name).blocks())
    assert not (tmp_path / "out" / "wanted").is_symlink()


def test_an_index_that_is_none_or_lost_is_made_here() -> None:
    members = unique()
    for edit in (b"junk" * 100, None):
        members["wanted"] += b"more"
        liar = Liar(tar_of(members), "l.tar", list)
        if edit is None:
            liar.store._tables.objects.pop((Kind.CHUNK, liar.content.id))  # type: ignore[arg-type]
        else:
            liar.content = store_index([edit], b"x" * 32, liar.store, again=False)
        assert read_from_liar(liar, "l.tar:wanted") == members["wanted"]


def forged_points(points: GzipPoints) -> GzipPoints:
    """Points whose windows hold other bytes."""
    starts = list(points)
    forged = [bytes(byte ^ 1 for byte in start.window) for start in starts]
    return GzipPoints([start.point for start in starts], forged.__getitem__)


def test_points_of_a_server_have_no_say_in_an_archive_that_is_known_by_its_hash() -> None:
    """A2"""
    words = NOISE.randbytes(3000)
    members = {f"{n:03}": words + b"%d" % n + words[::-1] for n in range(2000)}
    data = gzip.compress(tar_of(members), 6)
    liar = Liar(data, "l.tgz", list)
    honest = archive_and_path(parse_ref("l.tgz"), liar.store)[0].index
    honest_points = honest.points()
    assert honest_points is not None
    points = forged_points(honest_points)
    assert len(points) > 1
    lying = open_layer("gzip", BytesReader(data), length=honest.length, start_before=points.before)
    plain = lying.read(honest.length - 1_000_000, 500_000)
    assert plain not in tar_of(members)  # what the points lead to is another archive
    blocks = list(encode_index(honest.members(), honest.kind, honest.length, points))
    liar.content = store_index(blocks, b"y" * 32, liar.store, again=False)
    ident = liar.store.resolve(parse_ref("l.tgz"))
    for name in ("1999", "1500"):
        assert read_from_liar(liar, f"{ident.hex()}:{name}") == members[name]


def test_a_cache_gives_the_index_of_its_server(server: Server, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "cache", upstream=Upstream(server.url)) as cache,
        RemoteClient(cache.url) as client,
    ):
        members = list(archive_and_path(parse_ref("a.tar"), client)[0].members())
        assert len(members) == len(MEMBERS)
        assert read(client, f"a.tar:{LAST}") == MEMBERS[LAST]
        assert client.traffic.received < 1_000_000


def test_the_command_line_makes_the_index_itself_where_more_than_a_name_is_known(
    tmp_path: Path,
) -> None:
    """A2"""
    members = unique()
    liar = Liar(tar_of(members), "l.tar", swapped)
    program, out = Program(tmp_path), tmp_path / "out"
    digest = hashlib.sha256(members["wanted"]).hexdigest()
    ident = liar.store.resolve(parse_ref("l.tar")).hex()
    with Peer(liar.store, liar) as peer:
        for command in (["pull", "l.tar:wanted", "-o", out], ["cat", "l.tar:wanted"]):
            done = program.run(*command, "--server", peer.url)
            assert done.status == 4, done
            assert f"{peer.url}: the index of the archive is wrong about wanted" in done.err
            assert not out.exists()
        expected = ["--expect", f"sha256:{digest}"]
        for ref in ([f"{ident}:wanted"], ["l.tar:wanted", *expected]):
            program.good("pull", *ref, "-o", out, "--server", peer.url)
            assert out.read_bytes() == members["wanted"]
            out.unlink()


def test_members_of_a_compressed_archive_are_not_unpacked_first(server: Server) -> None:
    """A6: only some MB at the beginning travel twice, to tell what it is"""
    with RemoteClient(server.url) as client:
        assert dict(members_of("a.tgz", client)) == MEMBERS
        assert client.traffic.received < len(ARCHIVES["a.tgz"]) + 6_300_000
