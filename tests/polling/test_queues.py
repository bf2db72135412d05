"""The long queues against a plain list, cut into small pieces; and what is kept of them."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aitoearn_async import ImageRef, ImageTask
from aitoearn_async._polling.batch.queues import EarlierQueue, FifoQueue, SortedQueue
from aitoearn_async._polling.wait.state import WaitState

MANY = 50_000


class Queue(RuleBasedStateMachine):
    """What the machines have in common: waits that come, are taken, and are over."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.here: list[WaitState[ImageTask]] = []

    def another(self, due: float) -> WaitState[ImageTask]:
        self.number += 1
        self.here.append(WaitState(due=due, ref=ImageRef(f"{self.number}")))
        return self.here[-1]

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def one_is_over(self, data: st.DataObject) -> None:
        wait = self.here.pop(data.draw(st.integers(0, len(self.here) - 1)))
        wait.over = True
        self.note_over()

    def note_over(self) -> None:
        """For a queue that wants to know."""


class HeapAsSortedList(Queue):
    """Whatever is done in whatever order, the first is that of a sorted list."""

    def __init__(self) -> None:
        super().__init__()
        self.heap: SortedQueue[ImageTask] = SortedQueue(near=3, piece=2)

    @rule(dues=st.lists(st.integers(0, 9).map(float), min_size=1, max_size=12))
    def push(self, dues: list[float]) -> None:
        for due in dues:
            self.heap.push(self.another(due))

    @precondition(lambda self: self.here)
    @rule(again=st.none() | st.integers(0, 9))
    def take_the_first(self, again: int | None) -> None:
        first = min(self.here)
        assert self.heap.first() is first
        self.heap.pop()
        if again is None:
            self.here.remove(first)
        else:
            first.due = float(again)
            self.heap.push(first)

    @invariant()
    def it_knows_the_first(self) -> None:
        assert self.heap.first() is min(self.here, default=None)

    @invariant()
    def it_holds_them_all(self) -> None:
        assert len(self.heap) >= len(self.here)


class LineAsList(Queue):
    """They leave in the order they came in, but for those that are over."""

    def __init__(self) -> None:
        super().__init__()
        self.line: FifoQueue[ImageTask] = FifoQueue(link=4)

    @rule(count=st.integers(1, 12))
    def append(self, count: int) -> None:
        for _ in range(count):
            self.line.append(self.another(0.0))

    @precondition(lambda self: self.here)
    @rule()
    def take_the_first(self) -> None:
        assert self.line.first() is self.here[0]
        self.line.pop()
        del self.here[0]

    def note_over(self) -> None:
        self.line.note_over()

    @invariant()
    def it_knows_the_first(self) -> None:
        assert self.line.first() is (self.here[0] if self.here else None)

    @invariant()
    def it_holds_them_all(self) -> None:
        assert len(self.line) >= len(self.here)


class EarlierAsSortedList(Queue):
    """Whatever came in whatever order, they leave by when they began, but for those over."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: EarlierQueue[ImageTask] = EarlierQueue(link=3)

    @rule(moments=st.lists(st.integers(0, 99), min_size=1, max_size=12))
    def push(self, moments: list[int]) -> None:
        for moment in moments:
            wait = self.another(0.0)
            wait.started = moment + self.number / 1_000  # no two at one moment
            self.queue.push(wait)

    @precondition(lambda self: self.here)
    @rule()
    def take_the_first(self) -> None:
        first = min(self.here, key=lambda wait: wait.started)
        assert self.queue.first() is first
        self.queue.pop()
        self.here.remove(first)

    @invariant()
    def it_knows_the_first(self) -> None:
        assert self.queue.first() is min(self.here, key=lambda wait: wait.started, default=None)

    @invariant()
    def it_holds_them_all(self) -> None:
        assert len(self.queue) >= len(self.here)


for machine in (HeapAsSortedList, LineAsList, EarlierAsSortedList):
    machine.TestCase.settings = settings(stateful_step_count=40, derandomize=True)
TestHeapAsSortedList = HeapAsSortedList.TestCase
TestLineAsList = LineAsList.TestCase
TestEarlierAsSortedList = EarlierAsSortedList.TestCase


def waits(count: int, *, seed: int = 1) -> Iterator[WaitState[ImageTask]]:
    chance = random.Random(seed)
    return (
        WaitState(due=chance.random(), ref=ImageRef(f"{number}"), started=chance.random())
        for number in range(count)
    )


def seen_by_the_collector() -> int:
    """How many waits a full collection looks at."""
    gc.collect()
    return sum(type(thing) is WaitState for thing in gc.get_referents(*gc.get_objects()))


KINDS = [SortedQueue, FifoQueue, EarlierQueue]


def filled(kind: type[Any], some: Iterable[WaitState[ImageTask]]) -> Any:
    """A queue of a kind, with these waits."""
    queue = kind()
    add = queue.append if kind is FifoQueue else queue.push
    for wait in some:
        add(wait)
    return queue


@pytest.mark.parametrize("kind", KINDS)
def test_the_collector_does_not_look_at_the_bulk(kind: type[Any]) -> None:
    queue = filled(kind, waits(MANY))
    assert len(queue) == MANY
    assert queue.first() is not None
    assert seen_by_the_collector() < 10_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_takes_a_few_bytes_of_each(kind: type[Any]) -> None:
    """Whatever the order: a wait itself has three hundred."""
    kept = list(waits(MANY))
    gc.collect()
    tracemalloc.start()
    try:
        queue = filled(kind, kept)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(queue) == MANY
    assert taken / MANY < 16


def test_a_run_lets_go_of_what_has_left_it() -> None:
    """Else one that waits for long would keep thousands that have ended."""
    heap: SortedQueue[ImageTask] = SortedQueue()
    for wait in waits(2048):
        heap.push(wait)
    heap.push(WaitState(due=2.0, ref=ImageRef("last")))
    assert len(heap._runs) == 1
    for _ in range(2048 - 100):
        first = heap.first()
        assert first is not None
        heap.pop()
    assert sum(len(run) for _, _, run, _ in heap._runs) < 210


def test_each_is_taken_once_however_many_there_are() -> None:
    heap: SortedQueue[ImageTask] = SortedQueue()
    expected = list(waits(MANY))
    for wait in expected:
        heap.push(wait)
    for wait in sorted(expected):
        assert heap.first() is wait
        heap.pop()
    assert heap.first() is None
    assert len(heap) == 0


def test_what_is_over_is_dropped_from_a_line() -> None:
    """Behind one that goes on for long, no more is kept than twice of what is not over."""
    line: FifoQueue[ImageTask] = FifoQueue()
    first, *others = waits(MANY)
    line.append(first)
    for wait in others:
        line.append(wait)
    for wait in others:
        wait.over = True
        line.note_over()
    assert line.first() is first
    assert len(line) < 4000
    for wait in waits(MANY):
        line.append(wait)
        wait.over = True
        line.note_over()
    assert len(line) < 4000
    assert len(line._links) < 10


@pytest.mark.parametrize("seed", range(40))
def test_sweeping_keeps_the_order(seed: int) -> None:
    """Whatever drops out in between, those left come out as they came in."""
    chance = random.Random(seed)
    line: FifoQueue[ImageTask] = FifoQueue(link=4)
    expected = list(waits(80))
    for wait in expected:
        line.append(wait)
    for wait in chance.sample(expected, 60):
        wait.over = True
        line.note_over()
        assert max(map(len, line._links)) <= 4
    left = [wait for wait in expected if not wait.over]
    taken = []
    while (first := line.first()) is not None:
        taken.append(first)
        line.pop()
    assert taken == left


def test_sweeping_comes_to_every_link() -> None:
    """Also where nothing drops out of those before."""
    line: FifoQueue[ImageTask] = FifoQueue(link=4)
    for wait in waits(41):
        line.append(wait)
    for wait in waits(400):
        line.append(wait)
        wait.over = True
        line.note_over()
    assert len(line) < 80


def test_when_a_line_is_swept() -> None:
    """Each time half a link's worth is over, a link: the first, the second, and so on."""
    line: FifoQueue[ImageTask] = FifoQueue(link=4)
    all_of_them = list(waits(12))
    for wait in all_of_them:
        line.append(wait)
    lengths = []
    for index in (0, 1, 4, 5):
        all_of_them[index].over = True
        line.note_over()
        lengths.append(len(line))
    assert lengths == [12, 10, 10, 8]
    assert [len(link) for link in line._links] == [4, 4], "short ones are joined"


def test_a_heap_counts_what_is_left() -> None:
    heap: SortedQueue[ImageTask] = SortedQueue(near=30, piece=2)
    for wait in waits(100):
        heap.push(wait)
    for left in reversed(range(100)):
        heap.first()
        heap.pop()
        assert len(heap) == left
