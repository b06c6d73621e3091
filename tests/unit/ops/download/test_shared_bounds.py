"""Jobs of one process share connections: equally, and none is left without."""

from __future__ import annotations

import threading

import pytest

from casync.errors import StoppedError
from casync.ops.download.shared_bounds import SharedBounds
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, download, options, spec
from tests.support.memory_source import MemorySource
from tests.support.preparing import noise


def taken(bounds: SharedBounds, job: str) -> int:
    """Takes all that the job may have."""
    count = 0
    while bounds.try_take(job):
        count += 1
    return count


def test_a_job_alone_has_all() -> None:
    bounds = SharedBounds(8)
    with bounds.job("a"):
        assert taken(bounds, "a") == 8


def test_jobs_have_equal_shares_and_get_them_as_others_give_back() -> None:
    bounds = SharedBounds(8)
    with bounds.job("a"):
        assert taken(bounds, "a") == 8
        with bounds.job("b"):
            assert taken(bounds, "b") == 1  # one is always free
            for _ in range(8):
                bounds.give_back("a")
            assert taken(bounds, "b") == 3
            assert taken(bounds, "a") == 4


def test_who_waits_goes_on_when_another_gives_back() -> None:
    bounds, stopped = SharedBounds(1), threading.Event()
    with bounds.job("a"):
        bounds.take("a", stopped)
        thread = threading.Thread(target=bounds.take, args=("a", stopped))
        thread.start()
        bounds.give_back("a")
        thread.join()


def test_a_job_that_is_stopped_does_not_wait() -> None:
    bounds, stopped = SharedBounds(1), threading.Event()
    bounds.take("a", stopped)
    stopped.set()
    with pytest.raises(StoppedError):
        bounds.take("a", stopped)


def test_a_large_object_needs_no_second_connection() -> None:
    """Ranges that find no free connection are read by the thread that wanted them."""
    store, source = MemoryStore(), MemorySource()
    data = noise(48_000_000, 1)
    source.put("d/large", data)
    row = download(
        store, source, spec(max_conns=4), prefix="d/", how=options(shared=SharedBounds(1))
    )
    assert row.counts.finished == 1
    assert contents(store) == {"ds/large": data}
