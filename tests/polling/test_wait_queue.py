"""The long queue against a plain list, cut into small pieces; and what is kept of it."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterable, Iterator
from operator import attrgetter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aitoearn_async import ImageRef, ImageTask
from aitoearn_async._polling.batch.wait_queue import WaitQueue
from aitoearn_async._polling.wait.state import WaitState

MANY = 50_000
DUE = attrgetter("due")


class QueueAsSortedList(RuleBasedStateMachine):
    """Whatever is done in whatever order, the first is that of a sorted list."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.here: list[WaitState[ImageTask]] = []
        self.queue: WaitQueue[ImageTask] = WaitQueue(DUE, 4)

    def push(self, wait: WaitState[ImageTask], due: float) -> None:
        self.number += 1
        wait.due = due + self.number / 1_000  # no two at one moment
        self.here.append(wait)
        self.queue.push(wait)

    @rule(dues=st.lists(st.integers(0, 9).map(float), min_size=1, max_size=12))
    def some_come(self, dues: list[float]) -> None:
        for due in dues:
            self.push(WaitState(due=0.0, ref=ImageRef(f"{self.number}")), due)

    @precondition(lambda self: self.here)
    @rule(again=st.none() | st.integers(0, 9))
    def take_the_first(self, again: int | None) -> None:
        first = min(self.here, key=DUE)
        assert self.queue.first() is first
        self.queue.pop()
        self.here.remove(first)
        if again is not None:
            self.push(first, again)

    @precondition(lambda self: self.here)
    @rule(data=st.data(), is_noted=st.booleans())
    def one_is_over(self, data: st.DataObject, is_noted: bool) -> None:
        wait = self.here.pop(data.draw(st.integers(0, len(self.here) - 1)))
        wait.over = True
        if is_noted:
            self.queue.note_over()

    @invariant()
    def it_knows_the_first(self) -> None:
        assert self.queue.first() is min(self.here, key=DUE, default=None)

    @invariant()
    def it_holds_them_all(self) -> None:
        assert len(self.queue) >= len(self.here)
        assert all(len(run) <= 4 for *_, run in self.queue._runs)


QueueAsSortedList.TestCase.settings = settings(stateful_step_count=40, derandomize=True)
TestQueueAsSortedList = QueueAsSortedList.TestCase


def waits(count: int, *, in_order: bool = False) -> Iterator[WaitState[ImageTask]]:
    chance = random.Random(1)
    return (
        WaitState(due=number if in_order else chance.random(), ref=ImageRef(f"{number}"))
        for number in range(count)
    )


def filled(some: Iterable[WaitState[ImageTask]], most: int = 1024) -> WaitQueue[ImageTask]:
    """A queue of these waits."""
    queue: WaitQueue[ImageTask] = WaitQueue(DUE, most)
    for wait in some:
        queue.push(wait)
    return queue


def end(queue: WaitQueue[ImageTask], wait: WaitState[ImageTask]) -> None:
    wait.over = True
    queue.note_over()


def seen_by_the_collector() -> int:
    """How many waits a full collection looks at."""
    gc.collect()
    return sum(type(thing) is WaitState for thing in gc.get_referents(*gc.get_objects()))


def test_the_collector_does_not_look_at_the_bulk() -> None:
    queue = filled(waits(MANY))
    assert len(queue) == MANY
    assert queue.first() is not None
    assert seen_by_the_collector() < 10_000


def test_the_queue_takes_a_few_bytes_of_each() -> None:
    """Whatever the order: a wait itself has three hundred."""
    kept = list(waits(MANY))
    gc.collect()
    tracemalloc.start()
    try:
        queue = filled(kept)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(queue) == MANY
    assert taken / MANY < 16


def test_a_run_lets_go_of_what_has_left_it() -> None:
    """Else one that waits for long would keep thousands that have ended."""
    queue = filled(waits(2048))
    assert len(queue._runs) == 2
    for _ in range(2048 - 100):
        assert queue.first() is not None
        queue.pop()
    assert sum(len(run) for *_, run in queue._runs) < 210


def test_each_is_taken_once_however_many_there_are() -> None:
    expected = list(waits(MANY))
    queue = filled(expected)
    for wait in sorted(expected, key=DUE):
        assert queue.first() is wait
        queue.pop()
    assert queue.first() is None
    assert len(queue) == 0


def test_the_first_to_come_is_first_of_those_at_one_moment() -> None:
    expected = [WaitState(due=float(n // 50), ref=ImageRef(f"{n}")) for n in range(100)]
    queue = filled(expected, most=4)
    for wait in expected:
        assert queue.first() is wait
        queue.pop()


@pytest.mark.parametrize("in_order", [False, True])
def test_what_is_over_is_dropped(in_order: bool) -> None:
    """Beside one that goes on for long, no more is kept than twice of what is not over."""
    last = WaitState(due=1e9, ref=ImageRef("last"))
    some = list(waits(MANY, in_order=in_order))
    queue = filled([last, *some])
    for wait in some:
        end(queue, wait)
    assert len(queue) < 4000
    for wait in waits(MANY, in_order=in_order):
        queue.push(wait)
        end(queue, wait)
    assert len(queue) < 4000
    assert len(queue._runs) < 10
    assert queue.first() is last


@pytest.mark.parametrize("seed", range(40))
def test_sweeping_keeps_the_order(seed: int) -> None:
    """Whatever drops out in between, those left come out as they would have."""
    expected = list(waits(80))
    queue = filled(expected, most=4)
    for wait in random.Random(seed).sample(expected, 60):
        end(queue, wait)
        assert max(len(run) for *_, run in queue._runs) <= 4
    taken = []
    while (first := queue.first()) is not None:
        taken.append(first)
        queue.pop()
    assert taken == sorted((wait for wait in expected if not wait.over), key=DUE)


def test_sweeping_comes_to_every_run() -> None:
    """Also where nothing drops out of those before."""
    queue = filled(waits(41), most=4)
    for wait in waits(400):
        queue.push(wait)
        end(queue, wait)
    assert len(queue) < 80


def test_when_the_queue_is_swept() -> None:
    """Each time half a run's worth is over, two runs: the first, then those after them."""
    some = list(waits(16, in_order=True))
    queue = filled(some, most=4)
    lengths = []
    for index in (1, 4, 8, 9, 2, 3):
        end(queue, some[index])
        lengths.append(len(queue))
    assert lengths == [16, 14, 14, 12, 12, 10]
    assert [len(run) for *_, run in queue._runs] == [4, 4, 2], "short ones are joined"


@pytest.mark.parametrize("at_once", [False, True])
def test_nothing_is_swept_for_what_is_taken_before_it_is_over(at_once: bool) -> None:
    """Waits that expire, one after another or all at one moment: each costs what taking it does."""
    some = list(waits(2_000, in_order=True))
    if at_once:
        for wait in some:
            wait.due = 1.0
    looked = 0

    def moment_of(wait: WaitState[ImageTask]) -> float:
        nonlocal looked
        looked += 1
        return wait.due

    queue = WaitQueue(moment_of, 10)
    for wait in some:
        queue.push(wait)
    while (first := queue.first()) is not None:
        queue.pop()
        end(queue, first)
    assert looked <= 2.2 * len(some)


def test_the_queue_counts_what_is_left() -> None:
    queue = filled(waits(100), most=30)
    for left in reversed(range(100)):
        queue.first()
        queue.pop()
        assert len(queue) == left
