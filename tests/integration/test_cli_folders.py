"""Folders through the installed program."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from blake3 import blake3

from tests.support.forked import without_rights
from tests.support.program import COMMAND, Program
from tests.support.rights import needs_root
from tests.support.serving import serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "www"
    (folder / "cache").mkdir(parents=True)
    (folder / "index.html").write_text("<p>hello</p>")
    (folder / "cache" / "page").write_bytes(os.urandom(100_000))
    (folder / "latest").symlink_to("index.html")
    return folder


def test_a_folder_becomes_a_tree(program: Program, folder: Path) -> None:
    ran = program.good("prepare", folder, "--name", "www")
    assert len(ran.lines) == 1
    assert len(ran.lines[0]) == 64
    assert "in 2 files and 2 folders" in ran.err
    assert "named www@1" in ran.err
    shown = program.good("show", "www", "--json").document
    assert (shown["manifest"], shown["kind"]) == (ran.lines[0], "tree")
    assert program.good("verify").status == 0
    assert program.good("prepare", folder).lines == ran.lines


def test_excluded_entries_are_left_out(program: Program, folder: Path) -> None:
    document = program.good(
        "prepare", folder, "--exclude", "/cache/", "--exclude-regex", "l.test$", "--json"
    ).document
    assert document["schema"] == "casync.prepare-folder/1"
    assert (document["files"], document["folders"], document["others"]) == (1, 1, 0)
    assert (document["length"], document["left_out"]) == (12, [])
    ran = program.run("prepare", folder, "--exclude-regex", "(")
    assert ran.status == 2
    assert program.run("prepare", folder / "index.html", "--exclude", "x").status == 2
    assert program.run("prepare", folder, "--expect", f"sha256:{'0' * 64}").status == 2


def test_the_store_in_the_folder_is_left_out(program: Program, folder: Path) -> None:
    program.good("prepare", program.home)
    document = program.good("prepare", program.home, "--json").document
    assert document["left_out"] == []
    assert document["folders"] >= 3
    assert not any("store" in line for line in program.good("ls").lines)


def test_unreadable_entries_are_reported_and_the_rest_is_stored(program: Program) -> None:
    ran = program.run("prepare", "/proc/sys/kernel/random", "--name", "random")
    assert ran.status == 3
    assert ran.lines == [program.good("show", "random", "--json").document["manifest"]]
    assert "left out boot_id: it changed while it was read" in ran.err
    assert "run the same command again" in ran.err.lower()
    problem = program.run("prepare", "/proc/sys/kernel/random", "--json")
    assert problem.status == 3
    assert {"path": "boot_id", "reason": "it changed while it was read"} in problem.document[
        "left_out"
    ]
    assert problem.problem["code"] == "source-changed"


def test_an_unchanged_folder_is_not_read_again(program: Program, folder: Path) -> None:
    os.utime(folder / "index.html", ns=(1, 1))
    first = program.good("prepare", folder, "--json").document
    again = program.good("prepare", folder, "--json").document
    assert again["manifest"] == first["manifest"]
    assert again["stored"] == 0
    assert [path.stat().st_mode & 0o777 for path in (program.store / "folders").iterdir()] == [
        0o600
    ]
    assert (program.store / "folders").stat().st_mode & 0o777 == 0o700


def test_a_tree_is_not_read_as_a_file(program: Program, folder: Path) -> None:
    ident = program.good("prepare", folder).lines[0]
    ran = program.run("cat", ident)
    assert ran.status == 2
    assert ran.out == b""
    assert "is a folder" in ran.err


def test_a_file_in_a_folder_is_read_by_its_path(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    page = (folder / "cache" / "page").read_bytes()
    assert program.good("cat", "www:cache/page").out == page
    assert program.good("cat", "www@1:/cache//page", "--offset", "99990").out == page[99990:]
    for path, status, said in (
        ("cache/none", 9, "www has no cache/none"),
        ("cache", 2, "is a folder"),
        ("latest", 2, "is a link"),
        ("../www/index.html", 9, "www has no"),
    ):
        ran = program.run("cat", f"www:{path}")
        assert (ran.status, ran.out) == (status, b"")
        assert said in ran.err
    program.good("prepare", folder / "index.html", "--name", "page")
    assert program.good("cat", "page:").out == b"<p>hello</p>"
    assert program.run("cat", "page:x").status == 2


def test_a_folder_is_listed(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    assert program.good("ls", "www:").lines == ["cache", "index.html", "latest"]
    assert program.good("ls", "-R", "www:").lines == ["cache", "cache/page", "index.html", "latest"]
    assert program.good("ls", "www@1:/cache").lines == ["cache/page"]
    assert program.good("ls", "www:index.html").lines == ["index.html"]
    rows = [line.split("\t") for line in program.good("ls", "-lR", "www:").lines]
    assert [row[0][0] for row in rows] == ["d", "-", "-", "l"]
    assert [row[1] for row in rows] == ["100000", "100000", "12", ""]
    assert rows[2][3] == blake3(b"<p>hello</p>").hexdigest()
    assert [row[4:] for row in rows][2:] == [["index.html", ""], ["latest", "index.html"]]
    assert program.run("ls", "www:none").status == 9
    assert program.run("ls", "none:").status == 9
    assert program.run("ls", "-R", "www").status == 2
    program.good("prepare", folder / "index.html", "--name", "page")
    assert program.run("ls", "page:").status == 2


def test_a_listing_as_json(program: Program, folder: Path) -> None:
    os.link(folder / "index.html", folder / "home.html")
    os.utime(folder / "home.html", ns=(0, 1_700_000_000_123_456_789))
    (folder / os.fsdecode(b"\xff\x1b")).touch()
    program.good("prepare", folder, "--name", "www")
    document = program.good("ls", "--json", "www:").document
    assert document["schema"] == "casync.ls-tree/1"
    _, home, index, latest, strange = document["entries"]
    assert (home["kind"], home["length"], home["mtime_ns"]) == (
        "file",
        12,
        1_700_000_000_123_456_789,
    )
    assert "first" not in home
    assert index["first"] == "home.html"
    assert index["content"] == home["content"]
    assert (latest["kind"], latest["target"]) == ("link", "index.html")
    assert strange["path"] == "\\xff\x1b"
    assert program.good("ls", "www:").lines[-1] == "\\xff\\x1b"


def test_a_server_s_folder_is_listed_and_read(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    with serving(program.store) as server:
        listed = program.good("ls", "-R", "www:", "--server", server.url, CASYNC_STORE="none")
        assert listed.lines == ["cache", "cache/page", "index.html", "latest"]
        page = program.good("cat", "www:cache/page", "--server", server.url, CASYNC_STORE="none")
    assert page.out == (folder / "cache" / "page").read_bytes()


def listed(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Modes, times and bytes of a folder."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
            if path.is_file() else b"",
        )
        for path in root.rglob("*")
    }  # fmt: skip


def test_a_folder_is_pulled_from_a_server(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    target = program.home / "copy"
    with serving(program.store) as server:
        given = ("--server", server.url, "--store", program.home / "mine")
        plan = program.good("pull", "www", "-o", target, *given, "--dry-run", "--json").document
        assert plan["schema"] == "casync.plan-folder/1"
        assert (plan["files"], plan["length"], plan["kept"]) == (2, 100_012, 0)
        assert not target.exists()
        done = program.good("pull", "www", "-o", target, *given, "--json").document
        assert done["schema"] == "casync.pull-folder/1"
        assert (done["files"], done["length"], done["others"]) == (2, 100_012, 1)
        assert listed(target) == listed(folder)
        (folder / "index.html").write_text("<p>changed</p>")
        (target / "mine").touch()
        program.good("prepare", folder, "--name", "www")
        ran = program.good("pull", "www", "-o", target, *given, "--delete")
        assert "1 file written" in ran.err
        assert "1 removed" in ran.err
        assert ran.out == b""
        assert listed(target) == listed(folder)
        ran = program.run("pull", "www", "-o", target / "index.html", *given)
        assert ran.status == 1
        assert "is not a folder" in ran.err


def test_a_file_of_a_folder_is_pulled_like_any_file(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    alone = program.good("prepare", folder / "cache" / "page").lines[0]
    target = program.home / "page"
    with serving(program.store) as server:
        given = ("--server", server.url, "--store", program.home / "mine")
        done = program.good("pull", "www:cache/page", "-o", target, *given, "--json").document
        assert (done["outcome"], done["manifest"]) == ("written", alone)
        assert target.read_bytes() == (folder / "cache" / "page").read_bytes()
        ran = program.good("pull", "www:cache/page", "-o", target, *given)
        assert "up to date" in ran.err
        ran = program.run("pull", "www:latest", "-o", target, *given)
        assert ran.status == 2
        assert program.run("pull", "www:none", "-o", target, *given).status == 9
        assert program.run("pull", "www:index.html/x", "-o", target, *given).status == 9


def test_a_folder_in_a_folder_is_pulled_by_its_path(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    program.good("pull", "www:cache", "-o", program.home / "cache")
    assert listed(program.home / "cache") == listed(folder / "cache")


def test_a_tree_is_pulled_into_the_store_and_served_from_there(
    program: Program, folder: Path
) -> None:
    ident = program.good("prepare", folder, "--name", "www").lines[0]
    mine = program.home / "mine"
    with serving(program.store) as server:
        given = ("--server", server.url, "--store", mine)
        assert program.good("pull", "www", *given).lines == [ident]
        target = program.home / "with cache"
        program.good("pull", "www", "-o", target, "--cache", *given)
    assert program.good("verify", "--store", mine).status == 0
    assert listed(target) == listed(folder)
    assert ident in program.good("ls", "--store", mine).text
    program.good("pull", ident, "-o", program.home / "again", "--store", mine)
    assert listed(program.home / "again") == listed(folder)


def test_options_that_folders_do_not_support_are_refused(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    (program.home / "there").mkdir()
    for options in (
        ("-o", "new", "--in-place"),
        ("-o", "there", "--in-place"),
        ("-o", "new", "--expect", f"sha256:{'0' * 64}"),
        ("-o", "-"),
        ("-o", "new", "--max-delete", "3"),
    ):
        ran = program.run("pull", "www", *options)
        assert (ran.status, ran.out) == (2, b""), ran
    program.good("prepare", folder / "index.html", "--name", "page")
    ran = program.run("pull", "page", "-o", "new", "--delete")
    assert ran.status == 2
    assert not (program.home / "new").exists()


def test_deleting_all_of_another_folder_is_refused(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    (program.home / "other" / "mine").mkdir(parents=True)
    ran = program.run("pull", "www", "-o", "other", "--delete")
    assert ran.status == 2
    assert "nothing in common" in ran.err
    assert (program.home / "other" / "mine").is_dir()


def test_check_counts_and_lists_differences(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    ran = program.good("check", "www", folder)
    assert ran.out == b""
    assert "2 files ok (97.7 KiB), 0 wrong (0 B), 0 differences" in ran.err
    (folder / "cache" / "page").write_bytes(b"short")
    (folder / "extra").touch()
    ran = program.run("check", "www", folder)
    assert ran.status == 4
    assert {line.split("\t")[1]: line.split("\t")[0].split()[0] for line in ran.lines} == {
        "cache/page": "content",
        "extra": "extra",
        ".": "time",
    }
    document = program.run("check", "www:cache", folder / "cache", "--json").document
    assert document["schema"] == "casync.check/1"
    assert document["ok"] == {"files": 0, "bytes": 0}
    assert document["errors"] == {"files": 1, "bytes": 100_000}
    with serving(program.store) as server:
        given = ("--server", server.url)
        assert program.run("check", "www", folder, *given, CASYNC_STORE="none").status == 4
        page = folder / "index.html"
        program.good("check", "www:index.html", page, *given, CASYNC_STORE="none")
        assert program.run("check", "www:index.html", program.home / "none", *given).status == 9


def test_diff_of_folders_and_files(program: Program, folder: Path) -> None:
    program.good("prepare", folder, "--name", "www")
    (folder / "index.html").write_text("<p>hello, you</p>")
    (folder / "latest").unlink()
    (folder / "cache" / "new").write_bytes(b"1234")
    program.good("prepare", folder, "--name", "www")
    ran = program.good("diff", "www@1", "www@2")
    rows = {row[3]: row[:3] + row[4:] for row in (line.split("\t") for line in ran.lines)}
    assert rows["cache/new"] == ["added", "", "4", ""]
    assert rows["latest"] == ["removed", "", "", ""]
    assert rows["index.html"][:3] == ["changed", "12", "17"]
    assert "content" in rows["index.html"][3]
    assert program.run("diff", "www@1", "www@2", "--exit-code").status == 1
    assert program.run("diff", "www@2", "www", "--exit-code").status == 0
    ran = program.good("diff", "www@1:index.html", "www@2:index.html", "--json")
    assert ran.document["ranges"] == [{"start": 0, "end": 17}]
    assert program.run("diff", "www@1:index.html", "www").status == 2
    with serving(program.store) as server:
        again = program.good("diff", "www@1", "www", "--server", server.url, CASYNC_STORE="none")
        assert sorted(again.lines) == sorted(program.good("diff", "www@1", "www").lines)


@needs_root
def test_owners_that_cannot_be_set_are_counted_in_a_warning(program: Program, folder: Path) -> None:
    os.chown(folder / "index.html", 1234, 4321)
    (folder / "index.html").chmod(0o4755)
    program.good("prepare", folder, "--name", "www")
    target = program.home / "copy"
    command = [*without_rights(), *COMMAND, "pull", "www", "-o", str(target), "--exact"]
    done = subprocess.run(
        command, env=program.environment, cwd=program.home, capture_output=True, check=True
    )
    assert b"warning: metadata not set: 1 owners" in done.stderr
    assert (target / "index.html").stat().st_mode & 0o7777 == 0o755


def test_a_pull_whose_server_goes_away_is_partial(program: Program, folder: Path) -> None:
    for number in range(40):
        (folder / f"{number}").write_bytes(os.urandom(500_000))
    program.good("prepare", folder, "--name", "www")
    target = program.home / "copy"
    with serving(program.store) as server:
        given = ("--server", server.url, "--store", program.home / "mine")
        arguments = ("pull", "www", "-o", target, *given, "--retry-for", "1s")
        with program.start(*arguments, "--limit", "2M") as process:
            while not (target / ".casync-part").is_dir():
                assert process.poll() is None
                time.sleep(0.01)
            server.process.kill()
            _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert b"is incomplete" in err
    assert b"Run the same command again" in err
    with serving(program.store) as server:
        again = ("--server", server.url, "--store", program.home / "mine")
        program.good("pull", "www", "-o", target, *again)
    assert listed(target) == listed(folder)


def test_a_stopped_pull_says_how_to_resume(program: Program, folder: Path) -> None:
    for number in range(40):
        (folder / f"{number}").write_bytes(os.urandom(500_000))
    program.good("prepare", folder, "--name", "www")
    target = program.home / "copy"
    with serving(program.store) as server:
        given = ("--server", server.url, "--store", program.home / "mine")
        with program.start("pull", "www", "-o", target, *given, "--limit", "2M") as process:
            while not (target / ".casync-part").is_dir():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"Run the same command again; it fetches only the rest." in err
        program.good("pull", "www", "-o", target, *given)
    assert listed(target) == listed(folder)
