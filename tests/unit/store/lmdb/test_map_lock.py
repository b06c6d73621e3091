from __future__ import annotations

import threading

from casync.store.lmdb.map_lock import RWLock


def test_users_share_and_a_change_is_alone() -> None:
    map_lock = RWLock()
    inside = 0
    changed = 0
    errors: list[str] = []
    lock = threading.Lock()

    def use() -> None:
        nonlocal inside
        for _ in range(300):
            with map_lock.using():
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
            with map_lock.alone():
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
    map_lock = RWLock()
    order: list[str] = []
    map_lock.enter()
    changer = threading.Thread(target=lambda: run(map_lock, order))
    changer.start()
    while not map_lock._alone:
        pass
    user = threading.Thread(target=lambda: use(map_lock, order))
    user.start()
    map_lock.leave()
    changer.join()
    user.join()
    assert order == ["change", "user"]


def use(map_lock: RWLock, order: list[str]) -> None:
    map_lock.enter()
    order.append("user")
    map_lock.leave()


def run(map_lock: RWLock, order: list[str]) -> None:
    with map_lock.alone():
        order.append("change")
