"""What a client makes of what its requests came to: who is held, for how long, and what is told.

Values and a clock set by hand; only what the pace has a say in runs on a loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    BreakerState,
    ConnectionFailedError,
    ContractError,
    InvalidRequestError,
    NotAskedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TaskNotFoundError,
    UnexpectedResponseError,
)
from aitoearn_async.session.health import Health
from aitoearn_async.session.limits import Limits
from aitoearn_async.session.pace import Ramp, after_complaint, after_outage

START = 1000.0


class Case:
    """One client's view of a service, and the time it is."""

    def __init__(self, time: Callable[[], float] | None = None) -> None:
        self.now = START
        clock = time or (lambda: self.now)
        self.limits = Limits(64, None, clock)
        self.health = Health("example.org", self.limits, clock)
        self.tasks = 0

    def good(self, count: int, every: float = 0.0) -> None:
        """Good answers, one after the other."""
        for _ in range(count):
            self.now += every
            self.health.good(self.admit(), self.now)

    def bad(self, error: AiToEarnError, count: int = 1) -> None:
        """One and the same error, for so many tasks."""
        for _ in range(count):
            self.tasks += 1
            self.health.bad(self.admit(), f"task {self.tasks}", error)

    def admit(self) -> int:
        """The term of a request that is let out."""
        term = self.health.admit()
        assert not isinstance(term, NotAskedError)
        return term

    def held(self) -> NotAskedError:
        error = self.health.admit()
        assert isinstance(error, NotAskedError)
        return error

    def probe(self) -> int:
        """The next probe's term."""
        self.now += 3
        return self.admit()

    def pause(self) -> float:
        """How long the service is left alone from now, after a complaint that does not say."""
        self.bad(RateLimitError(429, http_status=429))
        return self.health.paused_for()


def same_pace(ramp: Ramp | None, other: Ramp, now: float) -> bool:
    assert ramp is not None
    moments = [now + seconds for seconds in (-1, 0, 0.5, 1, 2, 5, 30, 70, 100)]
    return [ramp.interval(m) for m in moments] == pytest.approx(
        [other.interval(m) for m in moments], rel=0.03
    )


def test_all_is_well_at_first() -> None:
    case = Case()
    health = case.health
    assert {case.admit() for _ in range(1000)} == {case.admit()}
    assert health.is_current(case.admit())
    assert health.state is BreakerState.CLOSED
    assert (health.held, health.outages, health.paused_for()) == (0, 0, 0.0)


async def test_no_clock_is_read_while_all_is_well() -> None:
    """Neither before the first trouble, nor once it is over: there are a great many requests."""
    loop = asyncio.get_running_loop()
    readings = 0

    def time() -> float:
        nonlocal readings
        readings += 1
        return loop.time()

    case = Case(time)

    def readings_of_a_hundred() -> int:
        before = readings
        for _ in range(100):
            term = case.admit()
            assert case.health.is_current(term)
            case.health.good(term, START)
        return readings - before

    assert readings_of_a_hundred() == 0
    case.bad(DOWN[0], 20)
    await asyncio.sleep(3)
    assert readings_of_a_hundred() > 0
    await asyncio.sleep(3)
    case.admit()
    assert readings_of_a_hundred() == 0
    case.bad(ServerError(503, retry_after=60))
    case.held()
    await asyncio.sleep(61)
    case.admit()
    assert readings_of_a_hundred() == 0


DOWN: list[AiToEarnError] = [
    ConnectionFailedError("refused"),
    RequestTimeoutError("late"),
    ServerError(503, http_status=503),
]
NEITHER: list[AiToEarnError] = [
    ConnectionFailedError("bad certificate", transient=False),
    UnexpectedResponseError("html"),
    AuthenticationError(401),
]
WELL: list[AiToEarnError] = [
    ApiError(1),
    InvalidRequestError(10002),
    TaskNotFoundError(404),
    ContractError("no status"),
]


@pytest.mark.parametrize("error", DOWN, ids=repr)
def test_trouble_takes_the_service_for_down(error: AiToEarnError) -> None:
    case = Case()
    case.bad(error, 19)
    assert case.health.state is BreakerState.CLOSED
    case.bad(error)
    assert case.health.state.value == "open"
    assert case.health.outages == 1


@pytest.mark.parametrize("error", NEITHER, ids=repr)
def test_what_says_nothing_of_the_service(error: AiToEarnError) -> None:
    """Neither takes it for down, nor breaks a row of trouble."""
    case = Case()
    case.bad(error, 50)
    assert case.health.state is BreakerState.CLOSED
    case.bad(ServerError(500), 19)
    case.bad(error)
    case.bad(ServerError(500))
    assert case.health.state.value == "open"


@pytest.mark.parametrize("error", WELL, ids=repr)
def test_a_no_is_a_sign_of_life(error: AiToEarnError) -> None:
    """It breaks a row of trouble; and a probe that is told no has found the service well."""
    case = Case()
    for _ in range(5):
        case.bad(ServerError(500), 19)
        case.bad(error)
    assert case.health.state is BreakerState.CLOSED
    case.bad(ServerError(500), 20)
    case.health.bad(case.probe(), "probe", error)
    assert case.limits.ramp is not None, "it is back"
    assert len({case.health._breaker.admit(case.now) for _ in range(9)}) == 1


@pytest.mark.parametrize(("error", "is_its_own"), [(ServerError(500), True), (DOWN[0], False)])
def test_one_task_speaks_for_connections_alone(error: AiToEarnError, is_its_own: bool) -> None:
    """A 500 may be its own; nobody else's connection would have fared better."""
    case = Case()
    term = case.admit()
    for _ in range(20):
        case.health.bad(term, "one and the same", error)
    assert (case.health.state is BreakerState.CLOSED) is is_its_own


def test_who_is_held_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    case = Case()
    error = ServerError(503, http_status=503)
    before = case.admit()
    try:
        raise error
    except ServerError:
        case.bad(error, 20)
    assert not case.health.is_current(before)
    for number, seconds in enumerate((0.0, 0.7), 1):
        case.now = START + seconds
        held = case.held()
        assert str(held) == f"not asked, because example.org is down, for {seconds:.0f} s so far"
        assert held.retry_after is None
        assert held.__cause__ is not None
        assert repr(held.__cause__) == repr(error)
        assert case.health.held == number
        assert held.__cause__.__traceback__ is None, "what held whom up is not kept alive"
    assert [record.getMessage() for record in caplog.records] == [
        "example.org is down (HTTP 503): asked by probes alone"
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_what_must_not_get_lost_is_no_probe() -> None:
    """It is held while the service is down, and takes no probe's turn."""
    case = Case()
    assert not isinstance(case.health.admit(probe=False), NotAskedError), "all is well"
    case.good(20)
    case.bad(ServerError(500, http_status=503), 20)
    assert case.health.state is BreakerState.OPEN
    case.now += 3
    assert isinstance(case.health.admit(probe=False), NotAskedError)
    assert not isinstance(case.health.admit(), NotAskedError)


def test_only_probes_go_out() -> None:
    """Each at its time; those that failed, said nothing or were broken off make room for others."""
    case = Case()
    case.bad(DOWN[0], 20)
    term = case.probe()
    assert case.health.is_current(term)
    case.held()
    for _ in range(4):
        assert case.probe() == term
    for error in (None, AuthenticationError(401), DOWN[0]):
        case.now += 3
        case.held()
        if error is None:
            case.health.neither(term)
        else:
            case.health.bad(term, "probe", error)
        assert case.probe() == term


def test_it_comes_back_at_the_pace_there_was_before(caplog: pytest.LogCaptureFixture) -> None:
    """Also where it goes down again before it was well: that is the same outage, and told once."""
    caplog.set_level(logging.INFO)
    case = Case()
    case.good(2000, every=0.01)
    case.limits.ramp = after_outage(case.now, 5)
    case.bad(DOWN[0], 20)
    assert case.limits.ramp is None, "probes have a pace of their own"
    began = case.now
    term = case.probe()
    case.health.good(term, case.now)
    assert same_pace(case.limits.ramp, after_outage(case.now, 100), case.now)
    again = case.health._breaker.term
    case.now += 0.5
    for number in range(5):
        case.health.bad(again, f"task {number}", DOWN[0])
    assert case.limits.ramp is None
    assert case.health.outages == 1
    case.held()
    case.health.good(case.probe(), case.now)
    assert same_pace(case.limits.ramp, after_outage(case.now, 100), case.now)
    assert case.now - began == 6.5
    down = "example.org is down (ConnectionFailedError): asked by probes alone"
    assert [record.getMessage() for record in caplog.records] == [
        down,
        "example.org answers again, after 3 s",
    ]


@pytest.mark.parametrize("by_a_request", [True, False])
async def test_it_is_well_when_the_pace_is_over(
    by_a_request: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever comes next sees it; then twenty failures are needed again, and it is told once."""
    caplog.set_level(logging.INFO)
    case = Case(asyncio.get_running_loop().time)
    case.bad(DOWN[0], 20)
    await asyncio.sleep(3)
    case.health.good(case.admit(), START)
    assert case.health.state is BreakerState.RECOVERING
    assert case.health.is_current(case.admit())
    await asyncio.sleep(2)
    for _ in range(2):
        if by_a_request:
            case.admit()
        else:
            assert case.health.state.value == "closed"
        told = [record.getMessage() for record in caplog.records]
        assert told[1:] == ["example.org answers again, after 3 s", "example.org is well again"]
    case.bad(DOWN[0], 19)
    assert case.health.state.value == "closed"
    case.bad(DOWN[0])
    assert case.health.outages == 2


def test_a_complaint_holds_everybody(caplog: pytest.LogCaptureFixture) -> None:
    """For as long as it says; what is under way already may say so too, and is not told again."""
    case = Case()
    term = case.admit()
    error = RateLimitError(429, retry_after=60)
    case.bad(error)
    assert case.health.paused_for() == 60
    assert not case.health.is_current(term)
    case.now += 20
    held = case.held()
    assert str(held) == "not asked, because example.org has asked to be left alone"
    assert (held.retry_after, case.health.held) == (40, 1)
    assert repr(held.__cause__) == repr(error)
    pace = case.limits.ramp
    for seconds, until in ((10, 40), (50, 50)):
        case.health.bad(term, "task", RateLimitError(429, retry_after=seconds))
        assert case.health.paused_for() == until
    assert case.limits.ramp is pace
    case.now += 49
    assert not case.health.is_current(term)
    case.now += 1
    assert case.health.is_current(term)
    assert case.health.paused_for() == 0
    assert case.admit() == term
    assert case.health.state is BreakerState.CLOSED
    assert [record.getMessage() for record in caplog.records] == [
        "example.org asks to be left alone: no request for 60 s"
    ]
    case.now += 100
    assert case.health.paused_for() == 0


@pytest.mark.parametrize(
    "error",
    [
        ServerError(503, http_status=503, retry_after=7),
        UnexpectedResponseError("html", retry_after=7),
        RateLimitError(429, retry_after=7),
    ],
    ids=repr,
)
def test_whoever_says_for_how_long_is_left_alone(error: AiToEarnError) -> None:
    case = Case()
    case.bad(error)
    assert case.health.paused_for() == 7


@pytest.mark.parametrize("error", [*DOWN, *NEITHER, *WELL], ids=repr)
def test_what_is_no_complaint_holds_nobody(error: AiToEarnError) -> None:
    case = Case()
    case.bad(error)
    assert case.health.paused_for() == 0
    assert case.limits.ramp is None


def test_a_complaint_that_does_not_say_for_how_long(caplog: pytest.LogCaptureFixture) -> None:
    """A second at first; twice as long each time, up to half a minute; until an answer is good."""
    case = Case()
    for _ in range(2):
        for seconds in (1, 2, 4, 8, 16, 30, 30):
            assert case.pause() == seconds
            case.now += seconds
        case.good(1)
    error = RateLimitError(429)
    case.bad(error)
    assert error.retry_after == 1, "the task that was told so goes by it too"
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 2 * 6 + 1, "each that is longer than those before is told"


def test_those_under_way_when_it_complained_make_it_no_longer() -> None:
    case = Case()
    term = case.admit()
    assert case.pause() == 1
    case.now += 0.25
    late = RateLimitError(429)
    case.health.bad(term, "late", late)
    assert late.retry_after == 0.75
    assert case.health.paused_for() == 0.75
    other = ServerError(503, retry_after=0.5)
    case.health.bad(term, "other", other)
    assert other.retry_after == 0.5
    case.now += 0.75
    assert case.pause() == 2


@pytest.mark.parametrize(("good", "seldom"), [(10, False), (11, True), (300, True)])
def test_a_tenth_of_the_answers_is_an_accident(
    good: int, seldom: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """One that does not say for how long costs its task a poll, and nobody else anything."""
    case = Case()
    case.good(good)
    error = RateLimitError(429)
    case.bad(error)
    assert (case.health.paused_for(), error.retry_after) == ((0, None) if seldom else (1, 1))
    assert (case.limits.ramp is None) is seldom
    assert len(caplog.records) == (0 if seldom else 1)


def test_complaints_of_long_ago_are_forgotten() -> None:
    """Each counts less with each answer since."""
    case = Case()
    for _ in range(5):
        case.now += case.pause()
    for _ in range(2):
        case.good(20)
        assert case.pause() == 1, "of the last answers, more than a tenth"
        case.now += 1
    case.good(40)
    assert case.pause() == 0
    assert case.pause() == 0
    assert case.pause() == 1, "some more, and it is no accident"


def test_complaints_fade_with_each_other_too() -> None:
    """Twenty in a row are forgotten after eighty good answers, and not much sooner."""
    for good, held in ((80, False), (60, True)):
        case = Case()
        for _ in range(20):
            case.now += case.pause()
        case.good(good)
        assert (case.pause() > 0) is held


def test_a_pause_for_an_accident_is_not_soon_followed_by_another() -> None:
    """Everybody is held up for a tenth of the time at most."""
    case = Case()
    case.good(300)
    accident = ServerError(503, retry_after=4)
    case.bad(accident)
    assert case.health.paused_for() == 4
    assert case.limits.ramp is None, "too short for a crowd to gather"
    case.now += 4
    case.good(50)
    case.now += 35
    case.bad(accident)
    assert case.health.paused_for() == 0
    case.good(50)
    case.now += 1
    case.bad(accident)
    assert case.health.paused_for() == 4


@pytest.mark.parametrize(("seconds", "gradually"), [(5, False), (6, True)])
def test_those_held_for_long_by_an_accident_come_back_gradually(
    seconds: float, gradually: bool
) -> None:
    """At the pace there was: it is no complaint of it."""
    case = Case()
    case.good(2000, every=0.01)
    case.bad(RateLimitError(429, retry_after=seconds))
    assert case.health.paused_for() == pytest.approx(seconds)
    if gradually:
        end = case.now + seconds
        assert same_pace(case.limits.ramp, after_outage(end, 100), end)
    else:
        assert case.limits.ramp is None


def test_the_pace_after_complaints() -> None:
    """Half of what was too much: of the usual at first, then of what was allowed since."""
    case = Case()
    case.good(2000, every=0.01)
    term = case.admit()
    for number in range(20):
        case.health.bad(term, f"task {number}", RateLimitError(429))
    case.now += case.health.paused_for()
    for allowed in (100, 50, 25):
        end = case.now
        assert same_pace(case.limits.ramp, after_complaint(end, allowed), end)
        case.now = end + 5
        case.bad(RateLimitError(429, retry_after=60))
        case.now += 60


def test_the_pace_after_the_first_complaint() -> None:
    """Half of the usual; of a few, where no answer was good yet."""
    case = Case()
    case.good(10, every=0.025)
    usual = 10.0
    case.bad(RateLimitError(429, retry_after=60))
    assert same_pace(case.limits.ramp, after_complaint(case.now + 60, usual), case.now + 60)
    case = Case()
    case.bad(RateLimitError(429, retry_after=60))
    assert same_pace(case.limits.ramp, after_complaint(START + 60, 0), START + 60)
    case.now += 60.5
    case.bad(RateLimitError(429, retry_after=60))
    end = case.now + 60
    assert same_pace(case.limits.ramp, after_complaint(end, 10), end)
