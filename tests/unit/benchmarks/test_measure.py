import sys
from pathlib import Path

import pytest

from benchmarks.measure import Command, CommandError, LimitError, run
from benchmarks.memory import parse_status

MIB = 1 << 20


def _python(code: str, limit: float = 60.0) -> Command:
    return Command((sys.executable, "-c", code), limit=limit)


def test_memory_counts_anonymous_and_shared_pages() -> None:
    text = "Name:\tcat\nVmRSS:\t 900 kB\nRssAnon:\t 100 kB\nRssFile:\t 795 kB\nRssShmem:\t 5 kB\n"
    assert parse_status(text) == 105 * 1024


def test_output_cpu_and_status_come_back() -> None:
    done = run(_python("print(sum(range(10**6)))"))
    assert done.out == "499999500000\n"
    assert done.cpu > 0


def test_memory_and_processes_of_children_count() -> None:
    child = f"import time; b = bytearray({64 * MIB}); time.sleep(2)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{child}'])"
    done = run(_python(code), sample=True)
    assert done.memory is not None
    assert done.memory > 64 * MIB
    assert done.processes == 2


def test_a_failure_shows_the_last_output_of_the_command() -> None:
    with pytest.raises(CommandError, match="status 3: no such luck"):
        run(_python("import sys; print('no such luck', file=sys.stderr); sys.exit(3)"))


def test_a_command_that_takes_too_long_is_ended_which_is_a_failure() -> None:
    with pytest.raises(LimitError, match="ended after 0 s"):
        run(_python("import time; time.sleep(600)", limit=0.2))


def test_a_killed_command_is_no_failure() -> None:
    assert run(_python("import time; time.sleep(600)"), kill_after=0.2).seconds < 600


def test_command_lines_are_shown_without_the_folders_of_the_run() -> None:
    command = Command(
        ("/usr/bin/cp", Path("/run/x/a b"), "/run/c"), stdout=Path("/run/x/out"), cwd=Path("/")
    )
    shown = command.shown({Path("/run"): "$RUN", Path("/run/x"): "$X"})
    assert shown == "/usr/bin/cp '$X/a b' $RUN/c > $X/out"
