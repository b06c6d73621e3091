"""What lies directly in a folder, in the order of keys, whatever the source gives it in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from casync.remote.sources.base import Listed, ListsByEntry
from casync.remote.sources.open import Sources
from casync.remote.sources.sorted_folder import sorted_folder
from tests.support.scripted_server import Asked, ScriptedServer, reply

ENTRIES = 101_000  # more than are kept in memory


def test_folders_on_disk_are_sorted_by_key(tmp_path: Path) -> None:
    for name in ("b", "a.x", "ä", "C"):
        (tmp_path / name).write_bytes(b"xyz")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "deep").write_bytes(b"")
    with Sources() as sources:
        source, prefix = sources.open(f"{tmp_path}/")
        listed = [
            (each.key.removeprefix(prefix), each.size) for each in sorted_folder(source, prefix)
        ]
    assert listed == [("C", 3), ("a.x", 3), ("a/", 0), ("b", 3), ("ä", 3)]


def test_a_page_with_very_many_links_is_sorted() -> None:
    """H2."""

    def page(_: Asked) -> Iterator[bytes]:
        yield reply(200, Content_Length="-", Content_Type="text/html")
        yield b"<title>Index of /d/</title><pre><a href='z/'>z/</a>\n"
        for start in range(ENTRIES, 0, -1000):
            numbers = range(start - 1, start - 1001, -1)
            rows = (b"<a href='%07d'>%07d</a> 30-Nov-2026 10:00 %d\n" % (i, i, i) for i in numbers)
            yield b"".join(rows)
        yield b"</pre></html>"

    with ScriptedServer(page) as server, Sources() as sources:
        source, prefix = sources.open(f"{server.url}/d/")
        assert isinstance(source, ListsByEntry)
        listed = sorted_folder(source, prefix)
        for number in range(ENTRIES):
            assert next(listed) == Listed(f"{prefix}{number:07}", number)
        assert [each.key for each in listed] == [f"{prefix}z/"]
