from __future__ import annotations

import threading

from casync.store.lmdb.map_lock import Gate


def test_users_share_and_a_change_is_alone() -> None:
    gate = Gate()
    inside = 0
    changed = 0
    errors: list[str] = []
    lock = threading.Lock()

    def use() -> None:
        nonlocal inside
        for _ in range(300):
            with gate.using():
                with lock:
                    inside += 1
                before = changed
                if changed != before:
                    errors.append("changed under a user")
                with lock:
                    inside -= 1

    def change() -> None:
        nonlocal changed
        for _ in range(100):
            with gate.alone():
                if inside:
                    errors.append("not alone")
                changed += 1

    threads = [threading.Thread(target=use) for _ in range(4)]
    threads += [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert changed == 200


def test_a_waiting_change_goes_before_new_users() -> None:
    gate = Gate()
    order: list[str] = []
    gate.enter()
    changer = threading.Thread(target=lambda: run(gate, order))
    changer.start()
    while not gate._alone:
        pass
    user = threading.Thread(target=lambda: use(gate, order))
    user.start()
    gate.leave()
    changer.join()
    user.join()
    assert order == ["change", "user"]


def use(gate: Gate, order: list[str]) -> None:
    gate.enter()
    order.append("user")
    gate.leave()


def run(gate: Gate, order: list[str]) -> None:
    with gate.alone():
        order.append("change")
