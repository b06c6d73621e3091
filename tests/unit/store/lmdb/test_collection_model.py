"""Collections beside writers, as a model: every order of their steps, and every crash.

The model is that of docs/adr/0008: a step is one transaction or one read of the real code. The test
checks in each state that a published manifest has all its objects. It also removes each safeguard
in turn, and checks that the search then finds a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

OBJECTS = ("a", "b", "x")
OLD = frozenset({"a", "b"})  # the manifest that exists from the start

Rows = frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Writer:
    """A process that prepares content with the objects `wants`, or a client that pushes it.

    A push has a row in the store rather than a lock: it outlives the process that opened it, and
    ends when no request has arrived for too long.
    """

    wants: tuple[str, ...]
    step: str = "look"
    at: int = 0
    since: int = 0
    floor: int | None = None
    promised: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    pushes: bool = False


@dataclass(frozen=True)
class Gc:
    """A collection: begin, read the roots, sweep each object."""

    step: str = "begin"
    safe: int = 0
    marked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class State:
    """The store, and the running processes."""

    rows: Rows
    writers: tuple[Writer, ...]
    generation: int = 1
    manifests: frozenset[frozenset[str]] = frozenset({OLD})
    trash: frozenset[frozenset[str]] = frozenset()
    gc: Gc = field(default_factory=Gc)
    rounds: int = 1
    user: tuple[str, ...] = ("rm", "undelete")
    broken: frozenset[str] = frozenset()

    def generation_of(self, name: str) -> int | None:
        return dict(self.rows).get(name)

    def floors(self) -> list[int]:
        return [w.floor for w in self.writers if w.floor is not None]


def put(rows: Rows, names: frozenset[str], generation: int) -> Rows:
    """Renews existing objects and adds missing ones."""
    found = dict(rows)
    found.update(dict.fromkeys(names, generation))
    return frozenset(found.items())


def look_on(writer: Writer, **changes: object) -> Writer:
    """The next object, or the end of the look-ups."""
    at = writer.at + 1
    step = "look" if at < len(writer.wants) else "store"
    return replace(writer, at=at, step=step, **changes)  # type: ignore[arg-type]


def writer_steps(world: State, writer: Writer) -> Iterator[tuple[State, Writer]]:
    """The possible next states of a writer."""
    generation, broken = world.generation, world.broken
    if writer.step in ("look", "look again", "look once more"):
        name = writer.wants[writer.at]
        found = world.generation_of(name)
        if found is None:
            yield world, look_on(writer, missing=writer.missing | {name})
        elif writer.since and found >= writer.since:
            yield world, look_on(writer)
        elif not writer.since:
            yield world, replace(writer, step="begin")
        elif writer.floor == 0:
            # Objects seen before the floor was lowered may be gone, so they are looked up again.
            yield world, look_on(writer, promised=writer.promised | {name})
        else:
            yield world, replace(writer, step="lower")
    elif writer.step == "begin":
        yield world, replace(writer, step="look again", since=generation, floor=generation)
    elif writer.step == "lower":
        floor = writer.floor if "no floor" in broken else 0
        lowered = replace(writer, step="look once more", floor=floor)
        if "no second look" in broken or "no floor" in broken:
            name = writer.wants[writer.at]
            lowered = look_on(replace(writer, floor=floor), promised=writer.promised | {name})
        yield world, lowered
    elif writer.step == "store":  # the missing objects, without their manifest
        since = writer.since or generation
        stored = replace(world, rows=renewed(world, writer, writer.missing))
        floor = None if "no session" in broken else since
        yield (
            stored,
            replace(writer, step="publish", since=since, floor=floor, promised=frozenset()),
        )
        # or all in one commit
        yield publish(world, writer, writer.missing)
    elif writer.step == "publish":
        yield publish(world, writer, frozenset())


RECKLESS = {"no push row", "ended pushes publish"}


def push_steps(world: State, writer: Writer) -> Iterator[tuple[State, Writer]]:
    """The possible next states of a push. A step renews existing objects, or puts missing ones."""
    generation, broken = world.generation, world.broken
    if writer.step == "look":
        floor = None if "no push row" in broken else generation
        yield world, replace(writer, step="send", since=generation, floor=floor)
    elif writer.step == "send":
        name = writer.wants[writer.at]
        found = world.generation_of(name)
        old = found is None or found < writer.since
        keep = found is not None and "no renewal by pushes" in broken
        rows = put(world.rows, frozenset({name}), generation) if old and not keep else world.rows
        at = writer.at + 1
        step = "send" if at < len(writer.wants) else "publish"
        yield replace(world, rows=rows), replace(writer, at=at, step=step)
    elif writer.step == "publish" and (writer.floor is not None or broken & RECKLESS):
        moved, done = publish(world, writer, frozenset())
        yield moved, replace(done, floor=None)  # its row goes with the same commit


def push_ends(writer: Writer) -> Writer:
    """The push's row expires. The client does not notice."""
    return replace(writer, floor=None)


def renewed(world: State, writer: Writer, names: frozenset[str]) -> Rows:
    promised = frozenset(n for n in writer.promised if world.generation_of(n) is not None)
    if "no renewal" in world.broken:
        promised = frozenset()
    return put(world.rows, names | promised, world.generation)


def publish(world: State, writer: Writer, names: frozenset[str]) -> tuple[State, Writer]:
    manifests = world.manifests | {frozenset(writer.wants)}
    rows = renewed(world, writer, names)
    trash = world.trash - {frozenset(writer.wants)}
    done = replace(writer, step="done", promised=frozenset())
    return replace(world, rows=rows, manifests=manifests, trash=trash), done


def gc_steps(world: State) -> Iterator[State]:
    """The possible next states of the collection."""
    gc, broken = world.gc, world.broken
    if gc.step == "begin" and "mark first" in broken:
        yield replace(world, gc=Gc("begin late", 0, reachable(world)))
    elif gc.step in ("begin", "begin late"):
        generation = world.generation + ("no bump" not in broken)
        safe = min([world.generation + 1, *world.floors()])
        step = "mark" if gc.step == "begin" else "sweep 0"
        begun = replace(gc, step=step, safe=safe)
        yield replace(world, generation=generation, trash=frozenset(), gc=begun)
    elif gc.step == "floors":
        safe = min([world.generation, *world.floors()])
        yield replace(world, gc=replace(gc, step="sweep 0", safe=safe))
    elif gc.step == "mark":
        marked, safe = reachable(world), gc.safe
        if "roots in two reads" in broken:
            marked = frozenset[str]().union(*world.manifests)
            yield replace(world, gc=Gc("mark trash", safe, marked))
        else:
            step = "floors" if "floors late" in broken else "sweep 0"
            yield replace(world, gc=Gc(step, safe, marked))
    elif gc.step == "mark trash":
        marked = gc.marked.union(*world.trash)
        yield replace(world, gc=replace(gc, step="sweep 0", marked=marked))
    elif gc.step.startswith("sweep"):
        index = int(gc.step.split()[1])
        name = OBJECTS[index]
        floors = [] if "floors once" in broken else world.floors()
        found = world.generation_of(name)
        rows = world.rows
        if found is not None and name not in gc.marked and found < min([gc.safe, *floors]):
            rows = rows - {(name, found)}
        step = f"sweep {index + 1}" if index + 1 < len(OBJECTS) else "done"
        yield replace(world, rows=rows, gc=replace(gc, step=step))
    elif world.rounds > 1:
        yield replace(world, gc=Gc(), rounds=world.rounds - 1)


def reachable(world: State) -> frozenset[str]:
    return frozenset[str]().union(*world.manifests, *world.trash)


def user_steps(world: State) -> Iterator[State]:
    if world.user:
        step, *rest = world.user
        left = replace(world, user=tuple(rest))
        yield replace(world, user=())
        if step == "rm" and OLD in world.manifests:
            yield replace(left, manifests=world.manifests - {OLD}, trash=world.trash | {OLD})
        elif step == "undelete" and OLD in world.trash:
            yield replace(left, manifests=world.manifests | {OLD}, trash=world.trash - {OLD})


def steps(world: State) -> Iterator[State]:
    yield from gc_steps(world)
    yield from user_steps(world)
    for index, writer in enumerate(world.writers):

        def with_writer(changed: State, writer: Writer, index: int = index) -> State:
            writers = (*changed.writers[:index], writer, *changed.writers[index + 1 :])
            return replace(changed, writers=writers)

        goes_on = push_steps if writer.pushes else writer_steps
        for changed, moved in goes_on(world, writer):
            yield with_writer(changed, moved)
        if writer.pushes and writer.floor is not None:
            yield with_writer(world, push_ends(writer))
        if writer.step != "ended":  # it ends, or is killed
            yield with_writer(world, replace(writer, step="ended", floor=None))


def explore(start: State) -> tuple[int, State | None]:
    """Walks all states; returns how many, and one in which a manifest lacks an object."""
    seen = {start}
    todo = [start]
    while todo:
        world = todo.pop()
        if any(world.generation_of(name) is None for m in world.manifests for name in m):
            return len(seen), world
        for following in steps(world):
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return len(seen), None


ROWS = frozenset({("a", 1), ("b", 1)})
DEAD_X = ROWS | {("x", 1)}


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("one writer, two collections", State(DEAD_X, (Writer(("a", "x")),), rounds=2)),
        ("two writers", State(ROWS, (Writer(("x", "a")), Writer(("b", "x"))))),
        ("the same again", State(ROWS, (Writer(("a", "b")),), rounds=2)),
        ("a push", State(DEAD_X, (Writer(("a", "x"), pushes=True),), rounds=2)),
        (
            "a push and a writer",
            State(ROWS, (Writer(("x", "a"), pushes=True), Writer(("b", "x")))),
        ),
    ],
)
def test_no_order_of_steps_loses_an_object(name: str, start: State) -> None:
    states, bad = explore(start)
    assert bad is None, f"{name}: {bad}"
    assert states > 500


SAFEGUARDS: dict[str, Callable[[], State]] = {
    "no renewal": lambda: State(DEAD_X, (Writer(("a", "x")),)),
    "no floor": lambda: State(DEAD_X, (Writer(("a", "x")),)),
    "no second look": lambda: State(DEAD_X, (Writer(("a", "x")),)),
    "no session": lambda: State(ROWS, (Writer(("a", "x")),)),
    "no bump": lambda: State(ROWS, (Writer(("x", "x")),), rounds=2),
    "mark first": lambda: State(ROWS, (Writer(("a", "x")),)),
    "floors late": lambda: State(ROWS, (Writer(("a", "x")),)),
    "floors once": lambda: State(DEAD_X, (Writer(("a", "x")),)),
    "roots in two reads": lambda: State(ROWS, ()),
    "no renewal by pushes": lambda: State(DEAD_X, (Writer(("a", "x"), pushes=True),)),
    "no push row": lambda: State(ROWS, (Writer(("a", "x"), pushes=True),)),
    "ended pushes publish": lambda: State(ROWS, (Writer(("a", "x"), pushes=True),)),
}


@pytest.mark.parametrize("safeguard", SAFEGUARDS)
def test_each_safeguard_is_needed(safeguard: str) -> None:
    _, bad = explore(replace(SAFEGUARDS[safeguard](), broken=frozenset({safeguard})))
    assert bad is not None
