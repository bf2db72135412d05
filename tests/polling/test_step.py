"""The step function: every case as a value, without a clock."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState, wait_fixed

from aitoearn_async import (
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    ContractError,
    ImageRef,
    ImageTask,
    InvalidRequestError,
    NotAskedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServiceUnreachableError,
    TaskNotFoundError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from aitoearn_async._polling.wait.ends import deadline_of, end_of, patience_end, response_deadline
from aitoearn_async._polling.wait.settings import Evidence, WaitSettings
from aitoearn_async._polling.wait.state import OWED, PollError, PollResult, WaitState
from aitoearn_async._polling.wait.step import Decision, Ended, GiveUpAt, PollAt, begin
from aitoearn_async._polling.wait.step import step as step_on
from aitoearn_async._verdict import NO_TURN, Verdict

from .model import KnownService

REF = ImageRef("66" * 12)
START = 1000.0


def step(
    wait: WaitState[ImageTask],
    settings: WaitSettings,
    response: PollResult[ImageTask] | PollError,
    asked: float,
    now: float,
) -> Decision[ImageTask]:
    """The next decision, after a result or after the verdict that an error itself suggests."""
    if not isinstance(response, PollResult):
        return step_on(wait, settings, Verdict.on(response), asked, now)
    return step_on(wait, settings, response, asked, now)


def reply(status: str = "generating") -> PollResult[ImageTask]:
    return PollResult(status, ImageTask(log_id=REF.id, status=status), "etag")


def unchanged(status: str = "generating") -> PollResult[ImageTask]:
    return PollResult(status, None, "etag")


def settings(
    timeout: float = math.inf, patience: float = 300.0, delay: float = 10.0
) -> WaitSettings:
    return WaitSettings(timeout, patience, wait_fixed(delay), Evidence((), KnownService()))


def begun(settings: WaitSettings, ref: ImageRef = REF) -> WaitState[ImageTask]:
    wait: WaitState[ImageTask] = WaitState(due=START, ref=ref)
    begin(wait, settings, START)
    return wait


@pytest.mark.parametrize("first", [True, False])
def test_a_copy_is_counted_as_one(first: bool) -> None:
    """Also where all other polls came to the same status."""
    limits = settings()
    wait = begun(limits)
    if not first:
        step(wait, limits, reply(), START, START)
    copy = reply()
    copy.is_copy = True
    step(wait, limits, copy, START, START)
    assert wait.seen == {**({} if first else {"generating": 1}), "generating from a cache": 1}


DEFINITE: list[PollError] = [
    AuthenticationError(401, "no"),
    TaskNotFoundError(404, "no"),
    InvalidRequestError(10002, "no"),
    ApiError(12300, "no"),
    ConnectionFailedError("bad certificate", transient=False),
]
CONCERNS_ALL = [DEFINITE[0], DEFINITE[-1]]
PASSING: list[PollError] = [
    ServerError(500, "oops"),
    ConnectionFailedError("refused"),
    RequestTimeoutError("late"),
    UnexpectedResponseError("html", None, 200),
    UnexpectedResponseError("redirect", None, 302, transient=False),
    ContractError("no status"),
]


def test_first_poll_is_at_once() -> None:
    """A wait begins with a poll, and its time counts from there."""
    wait = begun(limits := settings(timeout=60))
    assert wait.started == START
    assert deadline_of(wait, limits) == START + 60


def test_no_time_at_all_means_one_poll() -> None:
    """A timeout of 0 looks once, whole, without a bound of the wait's own."""
    limits = settings(timeout=0)
    wait = begun(limits)
    assert wait.final_poll_for is not None
    assert response_deadline(wait, limits, START + 5, START) == math.inf
    decision = step(wait, limits, reply(), START, START + 1)
    assert isinstance(decision, GiveUpAt)
    assert decision.moment == START + 1
    assert isinstance(decision.error, WaitTimeoutError)
    assert decision.error.ref == REF
    assert decision.error.polls == 1
    assert decision.error.latest is not None


@pytest.mark.parametrize(
    "trouble", [ServerError(503), NotAskedError("held"), NotAskedError("held", retry_after=5)]
)
def test_no_time_at_all_and_trouble(trouble: PollError) -> None:
    """Whatever the one look brings, it is the last."""
    limits = settings(timeout=0)
    decision = step(begun(limits), limits, trouble, START, START + 1)
    assert isinstance(decision, GiveUpAt)
    assert isinstance(decision.error, WaitTimeoutError)
    assert decision.error.__cause__ is trouble


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        ("success", False),
        ("SUCCESS", False),
        ("failed", True),
        ("FAILURE", True),
        ("expired", True),
    ],
)
def test_the_services_last_word_ends_it(status: str, failed: bool) -> None:
    """Success and failure both end a wait, also past its deadline."""
    limits = settings(timeout=5)
    assert step(begun(limits), limits, reply(status), START, START + 9) == Ended(
        ImageTask(log_id=REF.id, status=status), failed
    )


def test_the_next_poll_comes_after_the_delay() -> None:
    """A running task is polled again when the strategy says, counted from the answer."""
    limits = settings(delay=10)
    assert step(begun(limits), limits, reply(), START, START + 1) == PollAt(START + 11, True)


def test_only_a_new_word_is_a_change() -> None:
    """The first good poll is news, the same word again is none, another one is."""
    limits = settings()
    wait = begun(limits)
    answers: list[PollResult[ImageTask] | PollError] = [
        reply("queued"),
        reply("queued"),
        unchanged("queued"),
        ServerError(500),
        unchanged("queued"),
        reply("running"),
    ]
    news = []
    for answer in answers:
        decision = step(wait, limits, answer, START, START)
        assert isinstance(decision, PollAt)
        news.append(decision.changed)
    assert news == [True, False, False, False, False, True]
    assert wait.seen == {"queued": 4, "code 500": 1, "running": 1}
    assert wait.polls == 6


@pytest.mark.parametrize("error", DEFINITE, ids=repr)
def test_a_definite_answer_ends_it_at_once(error: PollError) -> None:
    """What the service will not think better of is raised by the first poll.

    If it concerns the key, or trust, and so all tasks: by the second, which comes soon.
    """
    limits = settings(delay=3600)
    wait, now = begun(limits), START + 1
    if error in CONCERNS_ALL:
        decision = step(wait, limits, error, START, now)
        assert isinstance(decision, PollAt)
        assert decision.moment <= now + 2
        now = decision.moment
    assert step(wait, limits, error, now, now) == GiveUpAt(now, error)


@pytest.mark.parametrize("error", CONCERNS_ALL, ids=repr)
def test_the_second_witness_can_be_another_task(error: PollError) -> None:
    """A key that never worked is told by the second of the first polls of a batch."""
    limits = settings()
    assert isinstance(step(begun(limits), limits, error, START, START + 1), PollAt)
    assert step(begun(limits), limits, error, START, START + 1) == GiveUpAt(START + 1, error)


@pytest.mark.parametrize("error", CONCERNS_ALL, ids=repr)
def test_one_witness_before_a_good_answer_is_none_after_it(error: PollError) -> None:
    """One node of many was wrong, at first."""
    limits = settings()
    wait = begun(limits)
    step(wait, limits, error, START, START + 1)
    step(wait, limits, reply(), START, START + 2)
    assert isinstance(step(wait, limits, error, START, START + 3), PollAt)


@pytest.mark.parametrize("error", [AuthenticationError(401, "no"), ApiError(12300, "no")])
def test_a_refusal_after_good_answers_is_confirmed(error: PollError) -> None:
    """A refusal that contradicts good answers ends the wait only when it comes twice."""
    limits = settings()
    wait = begun(limits)
    step(wait, limits, reply(), START, START)
    assert isinstance(step(wait, limits, error, START + 10, START + 10), PollAt)
    assert step(wait, limits, error, START + 20, START + 20) == GiveUpAt(START + 20, error)


def test_a_good_answer_clears_the_doubt() -> None:
    """A refusal counts again from one after a good answer between the two."""
    limits = settings()
    wait = begun(limits)
    error = AuthenticationError(401, "no")
    for answer in (reply(), error, unchanged(), error):
        assert isinstance(step(wait, limits, answer, START, START), PollAt)


@pytest.mark.parametrize("error", [TaskNotFoundError(404, "no"), InvalidRequestError(10002, "no")])
def test_a_missing_task_needs_no_confirmation(error: PollError) -> None:
    """That there is no such task is believed at once, good answers before or not."""
    limits = settings()
    wait = begun(limits)
    step(wait, limits, reply(), START, START)
    assert isinstance(step(wait, limits, error, START, START), GiveUpAt)


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_trouble_costs_one_poll(error: PollError) -> None:
    """A failed poll is followed by the next one, after the usual delay."""
    limits = settings(delay=10)
    wait = begun(limits)
    assert step(wait, limits, error, START, START + 1) == PollAt(START + 11)
    assert wait.last_error is error
    assert wait.failing_since == START
    same = wait  # to a type checker another one, so that it forgets what it knows
    step(same, limits, reply(), START + 11, START + 11)
    assert same.last_error is None
    assert same.failing_since is None


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_patience_runs_out(error: PollError) -> None:
    """Trouble that lasts for all of the patience ends the wait, naming its cause."""
    limits = settings(patience=100, delay=60)
    wait = begun(limits)
    assert step(wait, limits, error, START, START) == PollAt(START + 60)
    last = step(wait, limits, error, START + 60, START + 60)
    assert isinstance(last, PollAt)
    assert last.moment == pytest.approx(START + 100, abs=0.1)
    decision = step(wait, limits, error, START + 99.9, START + 99.9)
    assert isinstance(decision, GiveUpAt)
    assert decision.moment == START + 100
    assert isinstance(decision.error, ServiceUnreachableError)
    assert decision.error.__cause__ is error
    assert decision.error.elapsed == 100
    assert decision.error.seen == {error.label: 3}


def test_patience_is_renewed_by_a_good_answer() -> None:
    """Trouble is counted from the first bad poll since the last good one."""
    limits = settings(patience=100)
    wait = begun(limits)
    for at, answer in ((0, ServerError(500)), (90, reply()), (180, ServerError(500))):
        decision = step(wait, limits, answer, START + at, START + at)
        assert isinstance(decision, PollAt)
    assert patience_end(wait, limits) == START + 280


def test_no_patience_at_all() -> None:
    """With a patience of 0 the first trouble ends the wait."""
    limits = settings(patience=0)
    decision = step(begun(limits), limits, ServerError(500), START, START + 1)
    assert isinstance(decision, GiveUpAt)
    assert decision.moment == START + 1


def test_a_401_that_others_are_spared() -> None:
    """Good answers to others since the first one: it is the task's own, and costs its patience."""
    limits = settings(patience=100, delay=10)
    one, other = begun(limits), begun(limits, ImageRef("other"))
    refused = AuthenticationError(401)
    for n in range(12):
        step(other, limits, reply(), START + n, START + n)
        decision = step(one, limits, refused, START + 10 * n, START + 10 * n)
        if n < 10:
            assert isinstance(decision, PollAt)
    assert isinstance(decision, GiveUpAt)
    assert isinstance(decision.error, ServiceUnreachableError)
    assert decision.error.__cause__ is refused
    assert decision.moment == START + 110, "from the second on"
    step(other, limits, refused, START + 200, START + 200)
    assert step(other, limits, refused, START + 210, START + 210) == GiveUpAt(START + 210, refused)


def test_a_401_that_was_a_tasks_own_stays_its_own() -> None:
    """Also where others are polled too seldom to have a good answer between any two."""
    limits = settings(patience=100, delay=10)
    one, other = begun(limits), begun(limits, ImageRef("other"))
    refused = AuthenticationError(401)
    step(other, limits, reply(), START, START)
    step(one, limits, refused, START + 1, START + 1)
    step(other, limits, reply(), START + 2, START + 2)
    for n in range(3, 8):
        decision = step(one, limits, refused, START + n, START + n)
        assert isinstance(decision, PollAt)


def test_being_told_to_slow_down_costs_no_patience() -> None:
    """A 429 comes from a service that can be reached."""
    limits = settings(patience=5, delay=10)
    wait = begun(limits)
    for at in range(0, 600, 10):
        decision = step(wait, limits, RateLimitError(429), START + at, START + at)
        assert isinstance(decision, PollAt)


def test_retry_after_is_obeyed() -> None:
    """The next poll is never earlier than asked for, and not all later at one instant."""
    moments = set()
    for _ in range(50):
        limits = settings(delay=1)
        error = RateLimitError(429, retry_after=60)
        decision = step(begun(limits), limits, error, START, START)
        assert isinstance(decision, PollAt)
        moments.add(decision.moment)
    assert min(moments) >= START + 60
    assert max(moments) <= START + 72
    assert max(moments) - min(moments) > 6


def test_retry_after_past_the_deadline_ends_in_time() -> None:
    """No poll is brought forward into the time the service asked to be left alone."""
    limits = settings(timeout=30)
    error = RateLimitError(429, retry_after=60)
    decision = step(begun(limits), limits, error, START, START)
    assert isinstance(decision, GiveUpAt)
    assert decision.moment == START + 30
    assert isinstance(decision.error, WaitTimeoutError)
    assert decision.error.ref == REF


def test_a_poll_that_begins_late_has_as_much_longer() -> None:
    """Where there is trouble: patience is with the service. The deadline stays where it is."""
    limits = settings(timeout=500, patience=100)
    wait = begun(limits)
    assert response_deadline(wait, limits, START + 50, START + 10) == START + 500
    step(wait, limits, RequestTimeoutError("?"), START, START)
    assert response_deadline(wait, limits, START + 50, START + 50) == START + 100
    assert response_deadline(wait, limits, START + 50, START + 10) == START + 140
    assert response_deadline(wait, limits, START + 10, START + 50) == START + 100, (
        "it cannot begin early"
    )
    assert response_deadline(wait, limits, START + 450, START + 1) == START + 500


def test_one_slow_poll_is_forgotten() -> None:
    """The pace is that of the slowest of late: each that is faster takes a quarter off it."""
    limits = settings(timeout=1000)
    wait = begun(limits)
    step(wait, limits, reply(), START, START + 8)
    assert limits.poll_seconds == 8
    step(wait, limits, reply(), START + 20, START + 20)
    assert limits.poll_seconds == 6
    step(wait, limits, RequestTimeoutError("?"), START + 40, START + 40)
    assert limits.poll_seconds == 4.5


def test_the_last_sleep_is_clipped() -> None:
    """A poll that would come after the deadline is brought forward to just before it."""
    limits = settings(timeout=15, delay=10)
    wait = begun(limits)
    assert step(wait, limits, reply(), START, START) == PollAt(START + 10, True)
    decision = step(wait, limits, unchanged(), START + 10, START + 10)
    assert isinstance(decision, PollAt)
    assert START + 14.9 < decision.moment < START + 15


def test_the_last_poll_fits_at_the_pace_of_the_others() -> None:
    """With polls of 2 s, the last one begins more than 2 s before the deadline."""
    limits = settings(timeout=30, delay=20)
    wait = begun(limits)
    first = step(wait, limits, reply(), START, START + 2)
    assert first == PollAt(START + 22, True)
    second = step(wait, limits, unchanged(), START + 22, START + 24)
    assert isinstance(second, PollAt)
    assert second.moment + 2 < START + 30
    assert second.moment > START + 26
    assert wait.final_poll_for is not None, "the last poll reads the task whole"
    third = step(wait, limits, reply(), second.moment, second.moment + 2)
    assert isinstance(third, GiveUpAt)
    assert third.moment == START + 30
    assert isinstance(third.error, WaitTimeoutError)
    assert third.error.latest == reply().task
    assert third.error.seen == {"generating": 3}


def test_one_more_is_tried_where_polls_take_longer_than_what_is_left() -> None:
    """In its turn, if that is before the end; and after it, the rest is only waited for."""
    limits = settings(timeout=10, delay=1)
    wait = begun(limits)
    assert step(wait, limits, reply(), START, START + 6) == PollAt(START + 7, True)
    decision = step(wait, limits, ServerError(500), START + 7, START + 8)
    assert isinstance(decision, GiveUpAt)
    assert decision.moment == START + 10
    for delay in (4, 5):
        limits = settings(timeout=10, delay=delay)
        decision = step(begun(limits), limits, reply(), START, START + 6)
        assert isinstance(decision, GiveUpAt), "no time for one in its turn"
        assert decision.moment == START + 10
        assert decision.changed


def test_the_last_poll_can_bring_news() -> None:
    """Which are told of before it is given up."""
    limits = settings(timeout=15, delay=10)
    wait = begun(limits)
    step(wait, limits, reply("queued"), START, START)
    last = step(wait, limits, unchanged("queued"), START + 10, START + 10)
    assert isinstance(last, PollAt)
    for status, changed in (("running", True), ("running", False)):
        end = step(wait, limits, reply(status), last.moment, last.moment)
        assert isinstance(end, GiveUpAt)
        assert (end.moment, end.changed) == (START + 15, changed)


def test_the_deadline_speaks_for_itself_under_trouble() -> None:
    """A deadline that comes before the patience ends is a timeout, trouble or not."""
    limits = settings(timeout=10, patience=300)
    decision = step(begun(limits), limits, ServerError(500), START, START + 11)
    assert isinstance(decision, GiveUpAt)
    assert isinstance(decision.error, WaitTimeoutError)
    assert decision.error.ref == REF
    assert isinstance(decision.error.__cause__, ServerError)


def test_the_reminder_is_dropped_after_trouble() -> None:
    """What a good answer left to be reminded of does not outlive an error."""
    limits = settings()
    wait = begun(limits)
    step(wait, limits, reply(), START, START)
    assert wait.validator == "etag"
    step(wait, limits, ServerError(500), START, START)
    assert wait.validator is None


def test_a_count_of_what_was_seen_stays_small() -> None:
    """A service that makes up words cannot make the count grow for ever."""
    limits = settings()
    wait = begun(limits)
    for n in range(1000):
        step(wait, limits, reply(f"word-{n}"), START, START)
    assert len(wait.seen) <= 13
    assert wait.seen["other"] > 900
    assert sum(wait.seen.values()) == wait.polls == 1000


@pytest.mark.parametrize("words", [1, 3])
def test_what_is_counted_of_a_word_stays_short(words: int) -> None:
    """One of a million characters is not kept in each wait and in each error, but its beginning."""
    limits = settings()
    wait = begun(limits)
    for n in range(words):
        step(wait, limits, reply(f"{n}-" + "word" * 250_000), START, START)
    assert {len(word) for word in wait.seen} == {200}
    assert len(wait.seen) == sum(wait.seen.values()) == words


ANSWERS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["generating", "queued", "running"]).map(reply),
    st.sampled_from(PASSING),
    st.builds(RateLimitError, st.just(429), retry_after=st.none() | st.floats(0, 300)),
)


@given(
    answers=st.lists(st.tuples(ANSWERS, st.floats(0, 40)), max_size=40),
    timeout=st.floats(0.01, 600) | st.just(math.inf),
    patience=st.floats(0, 600) | st.just(math.inf),
    delay=st.floats(0, 60),
)
def test_every_wait_keeps_its_limits(
    answers: list[tuple[PollResult[ImageTask] | PollError, float]],
    timeout: float,
    patience: float,
    delay: float,
) -> None:
    """Whatever comes: no poll in the past or past the end, and the end comes when it is due."""
    limits = settings(timeout, patience, delay)
    wait = begun(limits)
    moment = START
    for polls, (answer, takes) in enumerate(answers, 1):
        now = min(moment + takes, max(moment, end_of(wait, limits)))
        decision = step(wait, limits, answer, moment, now)
        assert wait.polls == polls == sum(wait.seen.values())
        if isinstance(decision, GiveUpAt):
            assert decision.moment == max(now, end_of(wait, limits))
            assert isinstance(decision.error, WaitTimeoutError | ServiceUnreachableError)
            return
        assert isinstance(decision, PollAt)
        assert now <= decision.moment < end_of(wait, limits)
        moment = decision.moment


DOWN = NotAskedError("the service is down")
ALONE = NotAskedError("it wants to be left alone", retry_after=60.0)


@pytest.mark.parametrize("held", [DOWN, ALONE])
def test_a_poll_that_was_held_is_no_poll(held: NotAskedError) -> None:
    """It is not counted, and leaves what is known as it was; the next is due in its turn."""
    asked = settings()
    wait = begun(asked)
    step(wait, asked, reply(), START, START + 2)
    poll_seconds = asked.poll_seconds
    decision = step(wait, asked, held, START + 12, START + 12)
    assert isinstance(decision, PollAt)
    assert decision.moment >= START + 22
    assert decision.changed is False
    assert (wait.polls, wait.status, wait.validator, wait.seen) == (
        1,
        "generating",
        "etag",
        {"generating": 1},
    )
    assert wait.last_error is held
    assert asked.poll_seconds == poll_seconds, "it says nothing of how long a poll takes"


@pytest.mark.parametrize("start", [0.0, START])
def test_a_turn_that_did_not_come_costs_no_patience(start: float) -> None:
    """Whenever the trouble began: also at the first moment of a clock."""
    limits = settings(patience=60)
    wait: WaitState[ImageTask] = WaitState(due=start, ref=REF)
    begin(wait, limits, start)
    step(wait, limits, ServerError(502), start, start)
    assert wait.failing_since == start
    no_turn = RequestTimeoutError("still waiting", label=NO_TURN)
    assert step(wait, limits, no_turn, start + 55, start + 60) == PollAt(start + 60)
    assert patience_end(wait, limits) == start + 65


def test_the_first_poll_can_be_held_too() -> None:
    """The strategy is asked for the delay after a first poll, not after none; and told why."""
    heard: list[tuple[int, float | None, object]] = []

    def strategy(state: RetryCallState) -> float:
        assert state.outcome is not None
        heard.append((state.attempt_number, state.seconds_since_start, state.outcome.exception()))
        return 7.0

    asked = WaitSettings(math.inf, 300.0, strategy, Evidence((), KnownService()))
    wait = begun(asked)
    assert step(wait, asked, DOWN, START, START + 2) == PollAt(START + 9)
    assert heard == [(1, 2, DOWN)]
    assert wait.polls == 0


def test_a_poll_that_was_held_does_not_wait_for_hours() -> None:
    """It was due already. Half a minute later it is tried again, however long the usual delay."""
    asked = settings(delay=3600.0, patience=math.inf)
    wait = begun(asked)
    moments = set()
    for _ in range(200):
        decision = step(wait, asked, DOWN, START, START)
        assert isinstance(decision, PollAt)
        moments.add(decision.moment)
    assert START + 24 <= min(moments) < START + 26
    assert START + 28 < max(moments) <= START + 30
    decision = step(wait, asked, ALONE, START, START)
    assert isinstance(decision, PollAt)
    assert START + 60 <= decision.moment <= START + 72


def test_a_service_that_wants_to_be_left_alone_for_longer_than_there_is_time() -> None:
    """Is not asked again, and the wait ends when its time is over."""
    asked = settings(timeout=30)
    decision = step(begun(asked), asked, ALONE, START, START + 1)
    assert isinstance(decision, GiveUpAt)
    assert (decision.moment, decision.changed) == (START + 30, False)
    assert isinstance(decision.error, WaitTimeoutError)
    assert decision.error.__cause__ is ALONE


def test_a_service_that_is_down_costs_patience() -> None:
    """From when it was first not asked; a good answer renews it."""
    asked = settings(patience=25.0)
    wait = begun(asked)
    step(wait, asked, DOWN, START, START)
    assert end_of(wait, asked) == START + 25
    step(wait, asked, DOWN, START + 10, START + 10)
    assert end_of(wait, asked) == START + 25
    step(wait, asked, reply(), START + 20, START + 20)
    assert end_of(wait, asked) == math.inf
    step(wait, asked, DOWN, START + 30, START + 30)
    last = step(wait, asked, DOWN, START + 54.99, START + 54.99)
    assert isinstance(last, GiveUpAt)
    assert last.moment == pytest.approx(START + 55)
    assert isinstance(last.error, ServiceUnreachableError)
    assert last.error.__cause__ is DOWN


def test_a_service_that_wants_to_be_left_alone_costs_none() -> None:
    """And it is left alone for as long as it wants."""
    asked = settings(patience=25.0)
    wait = begun(asked)
    decision = step(wait, asked, ALONE, START, START)
    assert isinstance(decision, PollAt)
    assert START + 60 <= decision.moment <= START + 72
    assert wait.failing_since is None


def test_the_deadline_comes_while_the_service_is_down() -> None:
    """A last poll is brought forward; where it is held as well, the end comes at its time."""
    asked = settings(timeout=25.0)
    wait = begun(asked)
    moment, now = START, START
    while True:
        decision = step(wait, asked, DOWN, now, now)
        if isinstance(decision, GiveUpAt):
            break
        assert isinstance(decision, PollAt)
        moment = now = decision.moment
    assert moment == pytest.approx(START + 25 - 0.02, abs=0.01)
    assert isinstance(decision.error, WaitTimeoutError)
    assert decision.moment == START + 25


def test_what_is_known_of_a_task_that_was_glanced_at() -> None:
    """Its latest is the whole task, or, where none was read since a change, id and status."""
    wait = WaitState(START, ImageRef("66"), status="generating")
    assert wait.latest_known() == ImageTask(log_id="66", status="generating")
    whole = wait.latest = ImageTask(log_id="66", status="generating", points=3)
    assert wait.latest_known() is whole


def test_what_was_seen_is_counted_word_by_word() -> None:
    """Also of one word alone, for which nothing is kept."""
    limits = settings()
    wait = begun(limits)
    for answer in (reply(), unchanged(), unchanged()):
        step(wait, limits, answer, START, START)
        assert wait.counts is None
    assert wait.seen == {"generating": 3}
    after: list[PollResult[ImageTask] | PollError]
    after = [reply("queued"), unchanged("queued"), ServerError(503), reply("queued")]
    for end in after:
        step(wait, limits, end, START, START)
    assert wait.seen == {"generating": 3, "queued": 3, "code 503": 1}


def test_a_strategy_hears_what_a_poll_came_to() -> None:
    """The task, the last known one where nothing changed, or the error; and what time it is."""
    heard: list[tuple[int, float | None, object]] = []

    def strategy(state: RetryCallState) -> float:
        assert state.outcome is not None
        outcome = state.outcome.exception() or state.outcome.result()
        heard.append((state.attempt_number, state.seconds_since_start, outcome))
        return 10

    limits = WaitSettings(math.inf, 300, strategy, Evidence((), KnownService()))
    wait = begun(limits)
    first, error = reply(), ServerError(500)
    for seconds, answer in ((1, first), (11, unchanged()), (21, error)):
        step(wait, limits, answer, START + seconds, START + seconds)
    assert heard == [(1, 1, first.task), (2, 11, first.task), (3, 21, error)]


@pytest.mark.parametrize(("seconds", "due"), [(50, 60), (95, 100), (100, 110), (300, 310)])
def test_one_that_is_owed_a_poll_is_asked_at_its_deadline_or_after_it(
    seconds: float, due: float
) -> None:
    """While nobody can be asked it goes on, at its own pace, and its deadline is not its end."""
    limits = settings(timeout=100, patience=math.inf)
    wait = begun(limits)
    wait.final_poll_for = OWED
    now = START + seconds
    for error in (DOWN, ConnectionFailedError("refused")):
        assert response_deadline(wait, limits, now, now) == math.inf
        assert step(wait, limits, error, now, now) == PollAt(START + due)
    decision = step(wait, limits, reply(), now, now)
    assert isinstance(decision, PollAt if seconds < 100 else GiveUpAt)
    assert wait.final_poll_for != OWED


def test_one_that_is_owed_a_poll_is_given_up_out_of_patience() -> None:
    """Not for its time: the service was not reached."""
    limits = settings(timeout=100, patience=30)
    wait = begun(limits)
    wait.final_poll_for = OWED
    now = START + 200
    assert step(wait, limits, ConnectionFailedError("refused"), now, now) == PollAt(now + 10)
    decision = step(wait, limits, ConnectionFailedError("refused"), now + 20, now + 21)
    assert isinstance(decision, GiveUpAt)
    assert isinstance(decision.error, ServiceUnreachableError)
    assert decision.moment == now + 30


def test_only_a_poll_that_comes_too_late_is_clipped() -> None:
    """And one that is clipped still tells of a change, and asks for the whole answer."""
    limits = settings(timeout=100)
    wait = begun(limits)
    step(wait, limits, reply(), START, START)
    assert wait.final_poll_for is None
    assert wait.status == "generating"
    decision = step(wait, limits, reply("queued"), START + 95, START + 95)
    assert isinstance(decision, PollAt)
    assert decision.changed is True
    assert wait.final_poll_for == START + 100
    assert wait.final_poll_for is not None


def test_a_service_that_asks_for_no_time_gets_none() -> None:
    """Retry-After: 0 leaves the delay as it is."""
    limits = settings(delay=0.5)
    wait = begun(limits)
    decision = step(wait, limits, RateLimitError(429, retry_after=0), START, START)
    assert decision == PollAt(START + 0.5)


def test_out_of_time_and_patience_at_once_is_out_of_time() -> None:
    """Where both end at the same moment, the deadline is what was asked for."""
    limits = settings(timeout=100, patience=100)
    wait = begun(limits)
    step(wait, limits, ServerError(500), START, START)
    decision = step(wait, limits, ServerError(500), START + 100, START + 100)
    assert isinstance(decision, GiveUpAt)
    assert isinstance(decision.error, WaitTimeoutError)
    assert decision.error.ref == REF


def test_a_slow_poll_of_another_task_does_not_silence_this_one() -> None:
    """The pace is shared. One that says that there is no time left does not end the polling of a
    task that has been answered in no time at all, and whose next poll is due before its end."""
    asked = settings(timeout=60.0)
    wait, slow = begun(asked), begun(asked)
    step(slow, asked, reply(), START, START + 55)
    decision = step(wait, asked, reply(), START + 20, START + 20.1)
    assert isinstance(decision, PollAt)
    assert decision.moment == pytest.approx(START + 30.1)
    assert decision.changed
    assert isinstance(step(wait, asked, unchanged(), START + 31, START + 31.1), GiveUpAt)


def test_a_wait_is_small() -> None:
    """Memory comes in pieces of 16 bytes, and there may be a million waits."""
    assert WaitState.__basicsize__ <= 128
