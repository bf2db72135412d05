"""The agenda against a sorted list: what is due, what is over, and what it remembers."""

from __future__ import annotations

import math
from operator import attrgetter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aitoearn_async import ImageRef, ImageTask, ServerError, VideoRef
from aitoearn_async._polling.batch.agenda import Agenda
from aitoearn_async._polling.wait.state import WaitState

TIMEOUT = 50.0
delays = st.integers(0, 20).map(float) | st.floats(0, 100)


class AgendaAsSortedList(RuleBasedStateMachine):
    """Whatever is done in whatever order, the agenda says what a sorted list would."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.agenda: Agenda[ImageTask] = Agenda(TIMEOUT)
        self.number = 0
        self.waiting: list[WaitState[ImageTask]] = []
        self.doomed: list[WaitState[ImageTask]] = []
        self.polled: list[WaitState[ImageTask]] = []
        self.begun: list[WaitState[ImageTask]] = []

    @rule(delay=delays, video=st.booleans())
    def add(self, delay: float, video: bool) -> None:
        self.number += 1
        name = f"{self.number}"
        ref = VideoRef(name) if video else ImageRef(name)
        wait: WaitState[ImageTask] = WaitState(due=0.0, ref=ref)  # type: ignore[arg-type]
        self.agenda.add(wait, self.now + delay)
        self.waiting.append(wait)

    @rule(seconds=delays)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(ago=st.just(0.0) | delays)
    def poll_the_next(self, ago: float) -> None:
        due = sorted((w for w in self.waiting if w.due <= self.now), key=attrgetter("due"))
        wait = self.agenda.take(self.now)
        assert wait is (due[0] if due else None)
        if wait is not None:
            self.waiting.remove(wait)
            self.polled.append(wait)
            if math.isnan(wait.started):
                wait.started = self.now - ago  # it may have begun elsewhere
                self.agenda.begin(wait)
                self.begun.append(wait)

    @precondition(lambda self: self.polled)
    @rule(data=st.data(), delay=delays, fail_at=st.booleans())
    def after_a_poll(self, data: st.DataObject, delay: float, fail_at: bool) -> None:
        wait = data.draw(st.sampled_from(self.polled))
        self.polled.remove(wait)
        if fail_at:
            self.agenda.fail_at(wait, self.now + delay)
            self.doomed.append(wait)
        else:
            self.agenda.add(wait, self.now + delay)
            self.waiting.append(wait)

    @precondition(lambda self: self.waiting or self.doomed or self.polled)
    @rule(data=st.data())
    def end_any(self, data: st.DataObject) -> None:
        self.forget(data.draw(st.sampled_from(self.waiting + self.doomed + self.polled)))

    @rule()
    def end_the_expired(self) -> None:
        expected = {id(wait) for wait in self.begun if wait.started + TIMEOUT <= self.now}
        expected |= {id(wait) for wait in self.doomed if wait.due <= self.now}
        deadlines = []
        taken = set()
        while (wait := self.agenda.take_expired(self.now)) is not None:
            if wait not in self.doomed:
                deadlines.append(wait.started)
            taken.add(id(wait))
            self.forget(wait)
        assert taken == expected
        assert deadlines == sorted(deadlines)

    def forget(self, wait: WaitState[ImageTask]) -> None:
        self.agenda.end(wait)
        for where in (self.waiting, self.doomed, self.polled, self.begun):
            if wait in where:
                where.remove(wait)

    @invariant()
    def it_knows_the_next(self) -> None:
        ends = [wait.started + TIMEOUT for wait in self.begun] + [w.due for w in self.doomed]
        assert self.agenda.next_deadline() == min(ends, default=math.inf)
        assert self.agenda.next_due() == min((w.due for w in self.waiting), default=math.inf)


AgendaAsSortedList.TestCase.settings = settings(stateful_step_count=60, derandomize=True)
TestAgendaAsSortedList = AgendaAsSortedList.TestCase


def begun(agenda: Agenda[ImageTask], name: str, started: float) -> WaitState[ImageTask]:
    wait: WaitState[ImageTask] = WaitState(due=0.0, ref=ImageRef(name), started=started)
    agenda.begin(wait)
    return wait


def test_what_is_over_is_forgotten() -> None:
    """However many waits begin and end, no more are remembered than are under way, and some."""
    agenda: Agenda[ImageTask] = Agenda(TIMEOUT)
    first = begun(agenda, "first", 0.0)
    for number in range(50_000):
        wait = begun(agenda, f"{number}", number * 1e-6)
        agenda.add(wait, number * 1e-6)
        assert agenda.take(number * 1e-6) is wait
        agenda.end(wait)
        assert len(agenda._begun) <= 3200
    assert len(agenda) == 0
    assert agenda.take_expired(TIMEOUT) is first


def test_what_began_earlier_and_is_over_is_forgotten() -> None:
    """In whatever order they began."""
    agenda: Agenda[ImageTask] = Agenda(TIMEOUT)
    begun(agenda, "last", 1.0)
    first = begun(agenda, "first", 0.0)
    for number in range(50_000):
        agenda.end(begun(agenda, f"{number}", 0.5 - number % 1000 * 1e-6))
        assert len(agenda._begun) <= 3200
    assert agenda.take_expired(TIMEOUT) is first
    assert agenda.next_deadline() == 1.0 + TIMEOUT


def test_no_limit_remembers_no_beginnings() -> None:
    """Without a timeout there is nothing to run out of, and nothing is kept for it."""
    agenda: Agenda[ImageTask] = Agenda(math.inf)
    wait = begun(agenda, "a", 0.0)
    assert agenda.next_deadline() == math.inf
    assert agenda.take_expired(1e300) is None
    agenda.fail_at(wait, 5.0)
    assert agenda.next_deadline() == 5.0
    assert agenda.take_expired(5.0) is wait


def test_without_a_limit_no_beginning_is_held() -> None:
    agenda: Agenda[ImageTask] = Agenda(math.inf)
    begun(agenda, "a", 0.0)
    assert len(agenda._begun) == 0


def test_what_is_over_holds_nothing() -> None:
    """It may stay in a queue for a while; its task, which can be megabytes, must not."""
    agenda: Agenda[ImageTask] = Agenda(TIMEOUT)
    wait = begun(agenda, "a", 0.0)
    wait.latest, wait.last_error = ImageTask(log_id="a", status="success"), ServerError(500)
    wait.counts = {"code 500": 1}
    agenda.end(wait)
    assert not any([wait.latest, wait.last_error, wait.counts])
