from pathlib import Path

from benchmarks.corpora.corpus import MIB
from benchmarks.suites.sparse import digest, edit, put_back


def write(path: Path, at: int, data: bytes) -> Path:
    """A file of 8 MiB with `data` at `at`, and holes around it."""
    with path.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(at)
        file.write(data)
    return path


def test_a_digest_is_of_bytes_whatever_is_a_hole(tmp_path: Path) -> None:
    data = b"x" * (2 * MIB)
    sparse = write(tmp_path / "sparse", 3 * MIB, data)
    filled = write(tmp_path / "filled", 3 * MIB - 8192, bytes(8192) + data)
    moved = write(tmp_path / "moved", 3 * MIB - 8192, data)
    assert digest(sparse) == digest(filled) != digest(moved)


def test_what_was_edited_is_put_back(tmp_path: Path) -> None:
    path = write(tmp_path / "image", 3 * MIB, b"x" * (2 * MIB))
    before = path.read_bytes()
    old = edit(path)
    assert old
    assert path.read_bytes() != before
    put_back(path, old)
    assert path.read_bytes() == before
