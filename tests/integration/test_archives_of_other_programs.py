"""Archives that other programs make: each member is what the program extracts itself.

Both ways of reading are judged: by index, and unpacked.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from casync.errors import MalformedError, UnsupportedError, UsageError
from tests.support.archive_programs import archive_program
from tests.support.reading_archives import (
    Shown,
    files_on_disk,
    members_read,
    members_unpacked,
    opened,
)

SKIPPED = r"printf '\120\052\115\030\003\000\000\000abc'"
"""A frame of zstd and lz4 that readers pass over."""

KEY = "--passphrase key -cf {a} text"
TAR = "tar -xf {a}"


def made(root: Path, *, is_short: bool = False) -> Path:
    """A folder with files, links, and names that need every extension that there is."""
    rng = random.Random(14)
    (root / "dir").mkdir(parents=True)
    (root / "void").mkdir()
    (root / "a").write_bytes(rng.randbytes(100_000))
    (root / "text").write_bytes(b"some text that compresses\n" * 20_000)
    (root / "empty").touch()
    (root / "hard").hardlink_to(root / "a")
    (root / "soft").symlink_to("dir/block")
    (root / "dir" / "block").write_bytes(b"b" * 512)
    (root / "dir" / "ümläut ✓").write_bytes(b"utf-8")
    if not is_short:
        deep = root / ("d" * 120) / ("e" * 150)
        deep.mkdir(parents=True)
        (deep / ("f" * 200)).write_bytes(b"long")
        (root / "long").symlink_to("t" * 180)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("folder") / "tree")


def run(command: str, place: Path, archive: Path) -> None:
    """Runs a line of shell with programs that may come from packages; `{a}` is the archive."""
    words = ("bsdtar", "zip", "unzip", "7z", "zstd", "pzstd", "lz4", "pigz")
    for name in (word for word in words if word in shlex.split(command, comments=False)):
        # By its path: 7z looks for its parts in the folder that it was called by.
        command = re.sub(rf"(?<!\S){name}(?!\S)", archive_program(name), command)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(
        command.format(a=archive), shell=True, check=True, cwd=place, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def compare(archive: Path, extract: str, *, name: str = "archive") -> dict[bytes, Shown]:
    """Compares what is read with what the program extracts; returns that."""
    place = archive.with_suffix(".extracted")
    place.mkdir()
    run(extract, place, archive)
    expected = files_on_disk(place)
    assert expected
    data = archive.read_bytes()
    assert members_unpacked(data, name) == expected
    read = members_read(opened(data, name))
    read.pop(b".", None)
    # An index has the folders that the archive has.
    folders = {path for path, shown in expected.items() if shown is None} - read.keys()
    assert read == {path: shown for path, shown in expected.items() if path not in folders}
    assert all(any(path.startswith(folder + b"/") for path in read) for folder in folders)
    return expected


@pytest.mark.parametrize("names", [".", "*"])
@pytest.mark.parametrize("layout", ["v7", "ustar", "oldgnu", "gnu", "pax"])
def test_a_tar_of_gnu(tmp_path: Path, layout: str, names: str) -> None:
    """A1, A2, A6"""
    root = made(tmp_path / "tree", is_short=layout in ("v7", "ustar"))
    run(f"tar --format={layout} -cf {{a}} {names}", root, tmp_path / "a")
    assert len(compare(tmp_path / "a", TAR)) == (13 if root / "long" in root.iterdir() else 9)


@pytest.mark.parametrize(
    "make",
    [
        "tar --label=Volume -cf {a} .",
        "tar --format=pax --label=Volume -cf {a} .",
        "tar -b1 -cf {a} .",
        "tar -b2048 -cf {a} .",
        "tar -cf {a} text && tar -cf {a}2 a dir && tar -Af {a} {a}2",
        "tar -cf {a} a && tar --format=pax -rf {a} dir text && tar -rf {a} a && tar -uf {a} void",
        "tar -cf {a} a a hard a",
        "tar --listed-incremental={a}.snapshot -cf {a} .",
        "tar --format=pax --listed-incremental={a}.snapshot -cf {a} .",
        "tar -g {a}.snapshot -cf {a} . && touch text && tar -g {a}.snapshot -cf {a} .",
        "tar --numeric-owner --owner=4000000 --group=3000000 -cf {a} .",
        "tar --format=pax --owner=x:4000000000 --mtime=@-5000.25 -cf {a} a dir",
        "tar --format=gnu --mtime=@-5000 -cf {a} a dir",
        "tar --format=gnu --mtime=@99999999999 -cf {a} a dir",
        "tar --format=pax --pax-option=comment=hello,casync.x:=y -cf {a} a dir",
        "tar -P --transform='s,^,//abs/,' -cf {a} a dir text",
        "tar --format=gnu -cf {a} --xform='s,a,\\xff\\xfe,' a",
        "7z a -ttar -so dummy a dir text > {a}",
        "7z a -ttar -mm=pax -so dummy a dir text > {a}",
    ],
)
def test_what_may_stand_in_a_tar(folder: Path, tmp_path: Path, make: str) -> None:
    """A1, A2, A6"""
    run(make, folder, tmp_path / "a")
    compare(tmp_path / "a", TAR)


@pytest.mark.parametrize(
    "how", ["gnu", *(f"pax --sparse-version={version}" for version in ("0.0", "0.1", "1.0"))]
)
def test_holes_are_unpacked_and_named_where_they_cannot_be_read(tmp_path: Path, how: str) -> None:
    """A1, A6"""
    with (tmp_path / "sparse").open("wb") as file:
        for start in range(1 << 17, 30 << 17, 1 << 17):  # more than a header has room for
            file.seek(start)
            file.write(b"data")
        file.truncate(4 << 20)
    (tmp_path / "sound").write_bytes(b"sound")
    run(f"tar --format={how} -Scf {{a}} sparse sound", tmp_path, tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    expected = {name.encode(): (tmp_path / name).read_bytes() for name in ("sparse", "sound")}
    assert members_unpacked(data) == expected
    archive = opened(data)
    sound = archive.open(b"sound")
    assert sound is not None
    assert b"".join(sound.read(0, 5)) == b"sound"
    with pytest.raises(UnsupportedError, match="sparse members"):
        archive.open(b"sparse")


@pytest.mark.parametrize("layout", ["v7tar", "ustar", "pax", "gnutar"])
def test_a_tar_of_libarchive(tmp_path: Path, layout: str) -> None:
    """A1, A2, A6"""
    root = made(tmp_path / "tree", is_short=layout in ("v7tar", "ustar"))
    run(f"bsdtar --format={layout} -cf {{a}} .", root, tmp_path / "a")
    compare(tmp_path / "a", "bsdtar -xf {a}")


@pytest.mark.parametrize(
    ("make", "extract"),
    [
        ("gzip -9 < {a}.tar > {a}", "tar -xzf {a}"),
        ("(head -c 70000 {a}.tar | gzip; tail -c +70001 {a}.tar | gzip -1) > {a}", "tar -xzf {a}"),
        ("(gzip < {a}.tar; head -c 1000 /dev/zero) > {a}", "tar -xzf {a}"),
        ("gzip -N < {a}.tar > {a}", "tar -xzf {a}"),
        ("pigz -b 128 -p 2 < {a}.tar > {a}", "tar -xzf {a}"),
        ("pigz -i -b 128 -p 2 < {a}.tar > {a}", "tar -xzf {a}"),
        ("7z a -tgzip -so dummy {a}.tar > {a}", "tar -xzf {a}"),
        ("zstd -q < {a}.tar > {a}", "zstd -dc < {a} | tar -x"),
        ("zstd -q -19 --long=27 --no-check {a}.tar -o {a}", "zstd -dc < {a} | tar -x"),
        ("pzstd -q -p 2 < {a}.tar > {a}", "zstd -dc < {a} | tar -x"),
        (
            f"({SKIPPED}; head -c 70000 {{a}}.tar | zstd; {SKIPPED}; zstd < /dev/null; "
            f"tail -c +70001 {{a}}.tar | zstd -3; {SKIPPED}) > {{a}}",
            "zstd -dc < {a} | tar -x",
        ),
        ("lz4 -q < {a}.tar > {a}", "lz4 -dc < {a} | tar -x"),
        ("lz4 -q -9 -BD -B4 -BX --content-size {a}.tar {a}", "lz4 -dc < {a} | tar -x"),
        ("lz4 -q --no-frame-crc < {a}.tar > {a}", "lz4 -dc < {a} | tar -x"),
        (
            f"({SKIPPED}; head -c 70000 {{a}}.tar | lz4; {SKIPPED}; "
            f"tail -c +70001 {{a}}.tar | lz4; {SKIPPED}) > {{a}}",
            "lz4 -dc < {a} | tar -x",
        ),
    ],
)
def test_compressed_in_members_and_frames(
    folder: Path, tmp_path: Path, make: str, extract: str
) -> None:
    """A1, A2, A6"""
    run("tar -cf {a}.tar . && rm -f {a}", folder, tmp_path / "a")
    run(make, folder, tmp_path / "a")
    compare(tmp_path / "a", extract)


@pytest.mark.parametrize(
    "make",
    [
        "zip -qr0y {a} .",
        "zip -qr9y {a} .",
        "zip -qr {a} a dir soft text",
        "zip -qr -fd {a} a dir text empty",
        "zip -qr -fz {a} a dir text empty",
        "zip -qr -fz- {a} a dir text",
        "zip -q {a} - < text",
        "cat text | zip -q -fd {a} -",
        "zip -qr - a dir text empty | cat > {a}",
        r"printf 'a comment with PK\005\006 in it' | zip -qz {a} a text",
        "zip -qrDX {a} .",
        "zip -qr {a} a dir text && zip -qd {a} a && zip -q {a} a && zip -qu {a} empty",
        "zip -q {a} a text && (echo '#!/bin/sh'; cat {a}) > {a}x && zip -qA {a}x && mv {a}x {a}",
        "bsdtar --format=zip -cf {a} .",
        "bsdtar --format=zip --options zip:compression=store -cf {a} .",
        "bsdtar --format=zip -cf - . | cat > {a}",
        "bsdtar --format=zip --options zip:experimental -cf {a} .",
        "7z a -tzip -snl -xr!long {a} .",
        "7z a -tzip -mx=0 {a} a dir text",
        "7z a -tzip -mcu=on {a} dir",
        "7z a -tzip -mtc=on -mta=on {a} a dir",
        "cat text | 7z a -tzip -sitext {a}",
        "7z a -tzip -so dummy a dir text > {a}",
    ],
)
def test_a_zip(folder: Path, tmp_path: Path, make: str) -> None:
    """A1, A2, A6"""
    archive = tmp_path / "a.zip"
    run(make, folder, archive)
    extract = "unzip -q {a}" if " bsdtar" not in f" {make}" else "bsdtar -xf {a}"
    compare(archive, extract, name="a.zip")


@pytest.mark.parametrize(
    ("make", "named"),
    [
        ("7z a -tzip -mm=Deflate64 {a} text", "deflate64"),
        ("7z a -tzip -mm=LZMA {a} text", "lzma"),
        ("7z a -tzip -mm=BZip2 {a} text", "bzip2"),
        ("7z a -tzip -mm=PPMd {a} text", "method 98"),
        ("zip -qZ bzip2 {a} text", "bzip2"),
        ("7z a -tzip -pkey -mem=AES256 {a} text", "encrypted"),
        ("7z a -tzip -pkey -mem=ZipCrypto {a} text", "encrypted"),
        ("zip -qP key {a} text", "encrypted"),
        ("bsdtar --format=zip --options zip:encryption=aes256 " + KEY, "encrypted"),
    ],
)  # fmt: skip
def test_members_that_cannot_be_read_are_named(
    folder: Path, tmp_path: Path, make: str, named: str
) -> None:
    """A1, A6"""
    run(make, folder, tmp_path / "a.zip")
    data = (tmp_path / "a.zip").read_bytes()
    ways: list[Callable[[], object]] = [
        lambda: opened(data).open(b"text"),
        lambda: members_unpacked(data),
    ]
    for read in ways:
        with pytest.raises(UnsupportedError, match=named):
            read()


@pytest.mark.parametrize(
    "make",
    [
        *(f"bsdtar --format={form} -cf {{a}} a" for form in ("newc", "7zip", "xar", "shar", "ar")),
        "bsdtar --format=iso9660 -cf {a} a",
        "tar -cJf {a} a",
        "tar -cjf {a} a",
        "7z a {a}.7z a && mv {a}.7z {a}",
        "zip -q -s 64k {a}.zip a && mv {a}.z01 {a}",
        "tar -cf {a}.tar a && lz4 -lq {a}.tar {a}",
    ],
)
def test_what_is_another_archive_is_none_of_ours(folder: Path, tmp_path: Path, make: str) -> None:
    """A6"""
    run(make, folder, tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    with pytest.raises(UsageError, match="is not an archive"):
        opened(data)
    with pytest.raises(UsageError, match="is not an archive"):
        members_unpacked(data)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("tar -cf {a} a && tar -cf {a}2 text && cat {a}2 >> {a}", "goes on after its end"),
        ("(tar -cz a; tar -cz text) > {a}", "goes on after its end"),
        ("tar -czf {a} a && echo junk >> {a}", "cannot be decompressed"),
        ("zip -q -s 64k {a}.zip a && mv {a}.zip {a}", "one part of several"),
        ("tar -ML60 -cf {a} -f {a}2 -f {a}3 a", "ends at byte 61440"),
    ],
)
def test_half_an_archive_and_more_than_one_are_refused(
    folder: Path, tmp_path: Path, make: str, said: str
) -> None:
    """A6"""
    run(make, folder, tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    name = "a.zip" if "zip" in make else "a"
    ways: list[Callable[[], object]] = [
        lambda: opened(data, name),
        lambda: members_unpacked(data, name),
    ]
    for read in ways:
        with pytest.raises(MalformedError, match=said):
            read()
