"""Workers are restarted, but not forever."""

from casync_server.process.restarts import RestartPolicy


def test_delays_grow_until_the_server_gives_up() -> None:
    policy = RestartPolicy()
    delays = [policy.died(float(second)) for second in range(7)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[5] == 1.0
    assert delays[6] is None


def test_rare_deaths_are_forgiven() -> None:
    policy = RestartPolicy()
    assert {policy.died(61.0 * n) for n in range(100)} == {0.1}
