"""Workers are restarted, but not forever."""

from casync_server.process.restarts import RestartPolicy, StoreDeaths


def test_delays_grow_until_the_server_gives_up() -> None:
    policy = RestartPolicy()
    delays = [policy.died(float(second)) for second in range(7)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[5] == 1.0
    assert delays[6] is None


def test_rare_deaths_are_forgiven() -> None:
    policy = RestartPolicy()
    assert {policy.died(61.0 * n) for n in range(100)} == {0.1}


def test_the_third_death_on_a_store_within_an_hour_ends_its_use() -> None:
    deaths = StoreDeaths()
    assert not deaths.died("ours", 0.0)
    assert not deaths.died("theirs", 1.0)
    assert not deaths.died("ours", 2.0)
    assert deaths.died("ours", 3600.0)
    assert not deaths.died("ours", 3601.0)  # counted anew, as its file may have changed


def test_rare_deaths_on_a_store_are_forgiven() -> None:
    deaths = StoreDeaths()
    assert not any(deaths.died("", 1801.0 * n) for n in range(100))
