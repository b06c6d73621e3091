"""New and replaced targets: the part file, from its first byte to the rename."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from casync.errors import LockedError, NoSpaceError, WriteError
from casync.fs.identity import identity_of
from casync.fs.target.base import Sink, open_sink
from casync.fs.target.part import part_name
from casync.fs.target.place import inspect_place
from casync.limits import MIB
from tests.support.forked import in_namespace, run_python, start_python, without_rights
from tests.support.rights import ROOT

NEW = bytes(range(256)) * 40
OTHER_USER = 12345


def sink_at(path: Path, length: int = len(NEW)) -> Sink:
    return open_sink(inspect_place(path, in_place=False), length)


def part_of(path: Path) -> Path:
    return path.with_name(part_name(path.name))


def write_new(path: Path) -> list[str]:
    with sink_at(path) as sink:
        sink.write(0, [NEW])
        notes = sink.commit()
        assert sink.identity() == identity_of(path.stat())
    return notes


def attributes_of(path: Path) -> dict[str, bytes]:
    try:
        names = os.listxattr(path)
    except OSError:
        return {}
    return {name: os.getxattr(path, name) for name in names}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_usual_mode(target: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        assert write_new(target) == []
    finally:
        os.umask(before)
    assert target.read_bytes() == NEW
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
    assert os.listdir(target.parent) == ["target"]


def test_the_target_is_invisible_until_commit(target: Path) -> None:
    target.write_bytes(b"old")
    with sink_at(target) as sink:
        sink.write(0, [NEW])
        assert target.read_bytes() == b"old"
        assert stat.S_IMODE(part_of(target).stat().st_mode) == 0o600
        sink.commit()
        assert target.read_bytes() == NEW


def test_a_replaced_file_keeps_its_attributes(target: Path) -> None:
    target.write_bytes(b"old")
    target.chmod(0o2750)
    try:
        os.setxattr(target, "user.colour", b"red")
    except OSError:
        assert attributes_of(target) == {}
    if ROOT:
        os.chown(target, OTHER_USER, OTHER_USER + 1)
        target.chmod(0o2750)
    before, attributes = target.stat(), attributes_of(target)
    assert write_new(target) == []
    after = target.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_mode == before.st_mode
    assert attributes_of(target) == attributes


def test_an_owner_that_cannot_be_kept_is_noted_and_gets_no_privileges(target: Path) -> None:
    target.write_bytes(b"old")
    target.chmod(0o6755)
    if ROOT:
        os.chown(target, OTHER_USER, OTHER_USER)
        target.chmod(0o6755)
    code = """
with open_sink(inspect_place(path, in_place=False), 3) as sink:
    sink.write(0, [b"new"])
    print(sink.commit())
"""
    told = run_python(code, target, prefix=without_rights())
    assert ("could not be kept" in told) is ROOT
    assert stat.S_IMODE(target.stat().st_mode) == (0o755 if ROOT else 0o6755)


def test_other_hard_links_keep_the_old_bytes(target: Path) -> None:
    target.write_bytes(b"old")
    other = target.with_name("other")
    os.link(target, other)
    (note,) = write_new(target)
    assert "1 more hard link" in note
    assert (target.read_bytes(), other.read_bytes()) == (NEW, b"old")


def test_a_link_stays_and_what_it_points_to_is_replaced(target: Path) -> None:
    folder = target.parent / "folder"
    folder.mkdir()
    (folder / "real").write_bytes(b"old")
    target.symlink_to("folder/real")
    write_new(target)
    assert target.is_symlink()
    assert (folder / "real").read_bytes() == NEW
    assert os.listdir(folder) == ["real"]


def test_an_interrupted_run_is_resumed(target: Path) -> None:
    with sink_at(target) as sink:
        assert not sink.resumed
        sink.write(1000, [NEW[1000:5000]])
    assert not target.exists()
    with sink_at(target) as sink:
        assert sink.resumed
        assert sink.allocated >= 4000
        assert sink.read(1000, 4000) == NEW[1000:5000]
        assert sink.read(0, 1000) == bytes(1000)
        sink.write(0, [NEW[:1000]])
        sink.write(5000, [NEW[5000:]])
        sink.commit()
    assert target.read_bytes() == NEW


def test_a_run_that_wrote_nothing_leaves_nothing(target: Path) -> None:
    sink = sink_at(target)
    assert part_of(target).exists()
    sink.close()
    sink.close()
    assert os.listdir(target.parent) == []


@pytest.mark.parametrize("length", [0, 1, 700, 20_000])
def test_the_next_run_may_want_another_length(target: Path, length: int) -> None:
    with sink_at(target) as sink:
        sink.write(0, [NEW])
    with sink_at(target, length) as sink:
        assert sink.read(0, 2**20) == (NEW + bytes(20_000))[:length]
        sink.commit()
    assert target.stat().st_size == length


def test_zeros_are_holes(target: Path) -> None:
    length = 8 * MIB
    with sink_at(target, length) as sink:
        sink.zero(0, length)
        assert sink.allocated == 0
        sink.write(0, [b"x" * length])
    with sink_at(target, length) as sink:
        sink.zero(1000, length - 2000)
        assert sink.read(0, 2000) == b"x" * 1000 + bytes(1000)
        assert sink.read(length - 2000, 3000) == bytes(1000) + b"x" * 1000
        assert sink.allocated < MIB
        sink.commit()


def test_many_small_buffers_from_many_threads_all_arrive(target: Path) -> None:
    step, count = 3000, 8
    content = os.urandom(step * count)
    with sink_at(target, len(content)) as sink:

        def write(at: int) -> None:
            part = content[at : at + step]
            buffers = [part[i : i + 1] for i in range(step - 1)]
            sink.write(at, [*buffers, b"", memoryview(part)[step - 1 :]])

        threads = [threading.Thread(target=write, args=(step * i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sink.commit()
    assert target.read_bytes() == content


def test_a_second_pull_to_the_same_target_is_refused(target: Path) -> None:
    link = target.with_name("link")
    target.write_bytes(b"old")
    link.symlink_to(target)
    code = """
with open_sink(inspect_place(path, in_place=False), 3) as sink:
    sink.write(0, [b"new"])
    print("open", flush=True)
    input()
"""
    with start_python(code, target) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        for path in (target, link):
            with pytest.raises(LockedError, match="another pull"):
                sink_at(path)
        first.communicate("\n")
    with sink_at(target, 3) as sink:
        assert sink.read(0, 3) == b"new"


def test_two_pulls_take_turns_at_one_name(target: Path) -> None:
    """A pull that loses its part file to a commit starts a new one, not the visible file."""
    outcomes: list[str] = []

    def pull(fill: bytes) -> None:
        for _ in range(20):
            try:
                with sink_at(target, 1000) as sink:
                    sink.write(0, [fill * 500])
                    sink.write(500, [fill * 500])
                    sink.commit()
                    outcomes.append("written")
            except LockedError:
                outcomes.append("locked")

    threads = [threading.Thread(target=pull, args=(bytes([fill]),)) for fill in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 80
    assert len(set(target.read_bytes())) == 1


def plant_link(part: Path) -> None:
    part.symlink_to("victim")


def plant_hard_link(part: Path) -> None:
    os.link(part.with_name("victim"), part)


def plant_fifo(part: Path) -> None:
    os.mkfifo(part)


def plant_folder(part: Path) -> None:
    part.mkdir()


PLANTS: list[Callable[[Path], None]] = [plant_link, plant_hard_link, plant_fifo, plant_folder]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_foreign_part_file_is_neither_followed_nor_touched(
    target: Path, plant: Callable[[Path], None]
) -> None:
    victim = target.with_name("victim")
    victim.write_bytes(b"precious")
    part = part_of(target)
    plant(part)
    before = part.lstat()
    with pytest.raises(WriteError, match="not a part file of this user"):
        sink_at(target)
    after = part.lstat()
    assert identity_of(after) == identity_of(before)
    assert after.st_mode == before.st_mode
    assert victim.read_bytes() == b"precious"


def test_a_part_file_that_others_may_write_is_not_resumed(target: Path) -> None:
    part = part_of(target)
    part.write_bytes(NEW)
    part.chmod(0o666)
    with part.open("r+b") as theirs, sink_at(target) as sink:
        assert not sink.resumed
        theirs.write(b"evil")
        theirs.flush()
        assert sink.read(0, 4) == bytes(4)
        assert stat.S_IMODE(part.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["n" * 255, "n" * 242, "n" * 241, "ü" * 127, "\udcff" * 255])
def test_the_longest_names_have_part_files_of_their_own(tmp_path: Path, name: str) -> None:
    write_new(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert len(os.fsencode(part_name(name))) <= 255
    assert part_name(name) != part_name(name[:-1] + "m")


def test_a_target_that_is_no_longer_a_file_is_left_alone(target: Path) -> None:
    makers: list[Callable[[], None]] = [target.mkdir, lambda: target.symlink_to("x")]
    for make in makers:
        with sink_at(target) as sink:
            sink.write(0, [NEW])
            make()
            with pytest.raises(WriteError):
                sink.commit()
        assert part_of(target).exists()
        target.rmdir() if target.is_dir() else target.unlink()


FILL = """
def work():
    with open_sink(inspect_place(path, in_place=False), 4 << 20) as sink:
        for offset in range(0, 4 << 20, 65536):
            sink.write(offset, [os.urandom(65536)])
        sink.commit()
told(work)
print(sorted(os.listdir(path.parent)))
"""


def test_a_disk_that_fills_up_leaves_the_part_file(target: Path) -> None:
    prefix = in_namespace('mount -t tmpfs -o size=1m none "${target%/*}"')
    error, names = run_python(FILL, target, prefix=prefix).splitlines()
    assert error.startswith(f"NoSpaceError no space on {target}: 4.00 MiB needed, 0 B free")
    assert names == "['.target.casync-part']"


def test_a_limit_on_file_size_is_checked_before_the_first_byte(target: Path) -> None:
    prefix = ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh"]
    error, names = run_python(FILL, target, prefix=prefix).splitlines()
    assert error.startswith("NoSpaceError")
    assert "ulimit -f" in error
    assert names == "[]"
    with pytest.raises(NoSpaceError):
        sink_at(target, 2**63 - 1)


# Kills itself before the call number argv[2] among those that change something.
KILL = """
import signal
left = int(sys.argv[2])
def deadly(call):
    def counted(*args, **kwargs):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return call(*args, **kwargs)
    return counted
for name in ("open", "ftruncate", "pwritev", "fsync", "fchown", "fchmod", "setxattr", "rename"):
    setattr(os, name, deadly(getattr(os, name)))
with open_sink(inspect_place(path, in_place=False), 10240) as sink:
    sink.write(0, [bytes(range(256)) * 20])
    sink.write(5120, [bytes(range(256)) * 20])
    sink.commit()
print("done")
"""


def test_a_kill_at_any_step_leaves_the_old_file_and_can_be_resumed(target: Path) -> None:
    for calls in range(100):
        target.write_bytes(b"old")
        target.chmod(0o664)
        if ROOT:
            os.chown(target, OTHER_USER, OTHER_USER)
        done = run_python(KILL, target, str(calls), may_be_killed=True)
        assert target.read_bytes() in {b"old", NEW}
        assert target.read_bytes() == b"old" or not part_of(target).exists()
        write_new(target)
        status = target.stat()
        assert target.read_bytes() == NEW
        assert stat.S_IMODE(status.st_mode) == 0o664
        assert not ROOT or status.st_uid == OTHER_USER
        assert os.listdir(target.parent) == ["target"]
        if done:
            assert calls > 8
            return
    raise AssertionError("the child never got to its end")
