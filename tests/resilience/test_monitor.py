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
from aitoearn_async._resilience.limiter import RequestLimiter
from aitoearn_async._resilience.monitor import ServiceMonitor
from aitoearn_async._resilience.ramp import Ramp, after_complaint, after_outage
from aitoearn_async._resilience.scopes import Admission

START = 1000.0
IMAGES, VIDEOS, SUBMITS = "/images/", "/videos/", "/submits"
"""Routes."""
HOST = "example.org"


class Case:
    """One client's view of a service, and the time it is."""

    def __init__(self, time: Callable[[], float] | None = None) -> None:
        self.now = START
        clock = time or (lambda: self.now)
        self.limiter = RequestLimiter(64, None, clock)
        self.monitor = ServiceMonitor("example.org", self.limiter, clock)
        self.tasks = 0
        self.complaints = 2
        """That it takes to be left alone."""

    def record_success(self, count: int, every: float = 0.0, route: str = IMAGES) -> None:
        """Good answers to tasks of a route, one after the other."""
        for _ in range(count):
            self.now += every
            self.tasks += 1
            self.monitor.record_success(self.admit(route), self.now, f"task {self.tasks}")

    def record_failure(self, error: AiToEarnError, count: int = 1, route: str = IMAGES) -> None:
        """One and the same error, for so many tasks of a route."""
        for _ in range(count):
            self.tasks += 1
            self.monitor.record_failure(self.admit(route), f"task {self.tasks}", error)

    def admit(self, route: str = IMAGES) -> Admission:
        """Leave for a request that is let out."""
        admission = self.monitor.admit(route)
        assert not isinstance(admission, NotAskedError)
        return admission

    def held(self, route: str = IMAGES) -> NotAskedError:
        error = self.monitor.admit(route)
        assert isinstance(error, NotAskedError)
        return error

    @property
    def ramp(self) -> Ramp | None:
        """The pace of the images' route after trouble."""
        return self.monitor._routes[IMAGES].pace.ramp

    def probe(self, route: str = IMAGES) -> Admission:
        """Leave for the next probe."""
        self.now += 3
        return self.admit(route)

    def pause(self) -> float:
        """How long the route is left alone from now, after complaints that do not say."""
        self.record_failure(RateLimitError(429, http_status=429), self.complaints)
        self.complaints = 1
        return self.monitor.paused_for()


def same_pace(ramp: Ramp | None, other: Ramp, now: float) -> bool:
    assert ramp is not None
    moments = [now + seconds for seconds in (-1, 0, 0.5, 1, 2, 5, 30, 70, 100)]
    return [ramp.interval(m) for m in moments] == pytest.approx(
        [other.interval(m) for m in moments], rel=0.03
    )


def test_all_is_well_at_first() -> None:
    case = Case()
    monitor = case.monitor
    assert {case.admit() for _ in range(1000)} == {case.admit()}
    assert monitor.is_current(case.admit())
    assert monitor.state is BreakerState.CLOSED
    assert (monitor.held_back, monitor.outages, monitor.paused_for()) == (0, 0, 0.0)


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
            generation = case.admit()
            assert case.monitor.is_current(generation)
            case.monitor.record_success(generation, START, "task")
        return readings - before

    assert readings_of_a_hundred() == 0
    case.record_failure(DOWN[0], 20)
    await asyncio.sleep(3)
    assert readings_of_a_hundred() > 0
    await asyncio.sleep(3)
    case.admit()
    assert readings_of_a_hundred() == 0
    case.record_failure(ServerError(503, retry_after=60), 2)
    case.held()
    await asyncio.sleep(61)
    case.admit()
    assert readings_of_a_hundred() == 0


DOWN: list[AiToEarnError] = [
    ConnectionFailedError("lost", label="lost connection"),
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
    case.record_failure(error, 19)
    assert case.monitor.state is BreakerState.CLOSED
    case.record_failure(error)
    assert case.monitor.state.value == "open"
    assert case.monitor.outages == 1


@pytest.mark.parametrize("error", NEITHER, ids=repr)
def test_what_says_nothing_of_the_service(error: AiToEarnError) -> None:
    """Neither takes it for down, nor breaks a row of trouble."""
    case = Case()
    case.record_failure(error, 50)
    assert case.monitor.state is BreakerState.CLOSED
    case.record_failure(ServerError(500), 19)
    case.record_failure(error)
    case.record_failure(ServerError(500))
    assert case.monitor.state.value == "open"


@pytest.mark.parametrize("error", WELL, ids=repr)
def test_a_no_is_a_sign_of_life(error: AiToEarnError) -> None:
    """It breaks a row of trouble; and a probe that is told no has found the service well."""
    case = Case()
    for _ in range(5):
        case.record_failure(ServerError(500), 19)
        case.record_failure(error)
    assert case.monitor.state is BreakerState.CLOSED
    case.record_failure(ServerError(500), 20)
    case.monitor.record_failure(case.probe(), "probe", error)
    assert case.ramp is not None, "it is back"
    assert len({case.admit() for _ in range(9)}) == 1


REFUSED = ConnectionFailedError("refused", label="no connection")


@pytest.mark.parametrize(("error", "is_its_own"), [(ServerError(500), True), (REFUSED, False)])
def test_one_task_speaks_for_connections_alone(error: AiToEarnError, is_its_own: bool) -> None:
    """A 500 may be its own; nobody else's connection would have fared better."""
    case = Case()
    generation = case.admit()
    for _ in range(20):
        case.monitor.record_failure(generation, "one and the same", error)
    assert (case.monitor.state is BreakerState.CLOSED) is is_its_own


def test_who_is_held_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    case = Case()
    error = ServerError(503, http_status=503)
    before = case.admit()
    try:
        raise error
    except ServerError:
        case.record_failure(error, 20)
    assert not case.monitor.is_current(before)
    for number, seconds in enumerate((0.0, 0.7), 1):
        case.now = START + seconds
        held = case.held()
        assert (
            str(held)
            == f"not asked, because example.org/images/ is down, for {seconds:.0f} s so far"
        )
        assert held.retry_after is None
        assert held.__cause__ is not None
        assert repr(held.__cause__) == repr(error)
        assert case.monitor.held_back == number
        assert held.__cause__.__traceback__ is None, "what held whom up is not kept alive"
    assert [record.getMessage() for record in caplog.records] == [
        "example.org/images/ is down (HTTP 503): asked by probes alone"
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_what_must_not_get_lost_is_no_probe_of_the_host() -> None:
    """It is held while the host is down, and takes no probe's turn."""
    case = Case()
    assert not isinstance(case.monitor.admit(SUBMITS, probe=False), NotAskedError), "all is well"
    case.record_success(20)
    case.record_failure(REFUSED, 20)
    assert case.monitor.state is BreakerState.OPEN
    case.now += 3
    assert isinstance(case.monitor.admit(SUBMITS, probe=False), NotAskedError)
    assert not isinstance(case.monitor.admit(IMAGES), NotAskedError)


def test_where_its_own_route_is_down_it_is_the_only_probe_there_is() -> None:
    case = Case()
    case.record_failure(ServerError(500), 20, SUBMITS)
    assert isinstance(case.monitor.admit(SUBMITS, probe=False), NotAskedError)
    case.now += 3
    admission = case.monitor.admit(SUBMITS, probe=False)
    assert not isinstance(admission, NotAskedError)
    case.monitor.record_success(admission, case.now, "a submit")
    assert case.monitor.state is BreakerState.RECOVERING


def test_only_probes_go_out() -> None:
    """Each at its time; those that failed, said nothing or were broken off make room for others."""
    case = Case()
    case.record_failure(DOWN[0], 20)
    generation = case.probe()
    assert case.monitor.is_current(generation)
    case.held()
    for _ in range(4):
        assert case.probe() == generation
    for error in (None, AuthenticationError(401), DOWN[0]):
        case.now += 3
        case.held()
        if error is None:
            case.monitor.record_ignored(generation)
        else:
            case.monitor.record_failure(generation, "probe", error)
        assert case.probe() == generation


def test_it_comes_back_at_the_pace_there_was_before(caplog: pytest.LogCaptureFixture) -> None:
    """Also where it goes down again before it was well: that is the same outage, and told once."""
    caplog.set_level(logging.INFO)
    case = Case()
    case.record_success(2000, every=0.01)
    case.monitor._routes[IMAGES].pace.ramp = after_outage(case.now, 5)
    case.record_failure(DOWN[0], 20)
    assert case.ramp is None, "probes have a pace of their own"
    began = case.now
    generation = case.probe()
    case.monitor.record_success(generation, case.now, "probe")
    assert same_pace(case.ramp, after_outage(case.now, 100), case.now)
    again = case.admit()
    case.now += 0.5
    for number in range(5):
        case.monitor.record_failure(again, f"task {number}", DOWN[0])
    assert case.ramp is None
    assert case.monitor.outages == 1
    case.held()
    case.monitor.record_success(case.probe(), case.now, "probe")
    assert same_pace(case.ramp, after_outage(case.now, 100), case.now)
    assert case.now - began == 6.5
    down = "example.org/images/ is down (lost connection): asked by probes alone"
    assert [record.getMessage() for record in caplog.records] == [
        down,
        "example.org/images/ answers again, after 3 s",
    ]


@pytest.mark.parametrize("by_a_request", [True, False])
async def test_it_is_well_when_the_pace_is_over(
    by_a_request: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever comes next sees it; then twenty failures are needed again, and it is told once."""
    caplog.set_level(logging.INFO)
    case = Case(asyncio.get_running_loop().time)
    case.record_failure(DOWN[0], 20)
    await asyncio.sleep(3)
    case.monitor.record_success(case.admit(), START, "probe")
    assert case.monitor.state is BreakerState.RECOVERING
    assert case.monitor.is_current(case.admit())
    await asyncio.sleep(2)
    for _ in range(2):
        if by_a_request:
            case.admit()
        else:
            assert case.monitor.state.value == "closed"
        told = [record.getMessage() for record in caplog.records]
        assert told[1:] == [
            "example.org/images/ answers again, after 3 s",
            "example.org/images/ is well again",
        ]
    case.record_failure(DOWN[0], 19)
    assert case.monitor.state.value == "closed"
    case.record_failure(DOWN[0])
    assert case.monitor.outages == 2


def test_two_complaints_hold_the_route(caplog: pytest.LogCaptureFixture) -> None:
    """For as long as they say; what is under way already may say so too, and is not told again."""
    case = Case()
    generation = case.admit()
    error = RateLimitError(429, retry_after=60)
    case.record_failure(error)
    assert case.monitor.paused_for() == 0, "one may be a matter of its task alone"
    case.record_failure(error)
    assert case.monitor.paused_for() == 60
    assert not case.monitor.is_current(generation)
    case.now += 20
    held = case.held()
    assert str(held) == "not asked, because example.org/images/ has asked to be left alone"
    assert (held.retry_after, case.monitor.held_back) == (40, 1)
    assert repr(held.__cause__) == repr(error)
    poll_seconds = case.ramp
    for seconds, until in ((10, 40), (50, 50)):
        case.monitor.record_failure(
            generation, f"task of {seconds}", RateLimitError(429, retry_after=seconds)
        )
        assert case.monitor.paused_for() == until
    assert case.ramp is poll_seconds
    case.now += 49
    assert not case.monitor.is_current(generation)
    case.now += 1
    assert case.monitor.is_current(generation)
    assert case.monitor.paused_for() == 0
    assert case.admit() == generation
    assert case.monitor.state is BreakerState.CLOSED
    assert [record.getMessage() for record in caplog.records] == [
        "example.org/images/ asks to be left alone: no request for 60 s"
    ]
    case.now += 100
    assert case.monitor.paused_for() == 0


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
    case.record_failure(error, 2)
    assert case.monitor.paused_for() == 7


@pytest.mark.parametrize("error", [*DOWN, *NEITHER, *WELL], ids=repr)
def test_what_is_no_complaint_holds_nobody(error: AiToEarnError) -> None:
    case = Case()
    case.record_failure(error, 2)
    assert case.monitor.paused_for() == 0
    assert case.ramp is None


def test_a_complaint_that_does_not_say_for_how_long(caplog: pytest.LogCaptureFixture) -> None:
    """A second at first; twice as long each time, up to half a minute; until an answer is good."""
    case = Case()
    for _ in range(2):
        for seconds in (1, 2, 4, 8, 16, 30, 30):
            assert case.pause() == seconds
            case.now += seconds
        case.record_success(1)
    told_so = case.monitor.record_failure(case.admit(), "another", RateLimitError(429))
    assert told_so == 1, "the task that was told so goes by it too"
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 2 * 6 + 1, "each that is longer than those before is told"


def test_those_under_way_when_it_complained_make_it_no_longer() -> None:
    case = Case()
    generation = case.admit()
    assert case.pause() == 1
    case.now += 0.25
    assert case.monitor.record_failure(generation, "late", RateLimitError(429)) == 0.75
    assert case.monitor.paused_for() == 0.75
    other = ServerError(503, retry_after=0.5)
    assert case.monitor.record_failure(generation, "other", other) == 0.5
    case.now += 0.75
    assert case.pause() == 2


@pytest.mark.parametrize(("good", "seldom"), [(22, False), (23, True), (300, True)])
def test_a_tenth_of_the_answers_is_an_accident(
    good: int, seldom: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """One that does not say for how long costs its task a poll, and nobody else anything."""
    case = Case()
    case.record_success(good)
    case.record_failure(RateLimitError(429))
    told = case.monitor.record_failure(case.admit(), "another", RateLimitError(429))
    assert (case.monitor.paused_for(), told) == ((0, None) if seldom else (1, 1))
    assert (case.ramp is None) is seldom
    assert len(caplog.records) == (0 if seldom else 1)


def test_complaints_of_long_ago_are_forgotten() -> None:
    """Each counts less with each answer since."""
    case = Case()
    for _ in range(5):
        case.now += case.pause()
    for _ in range(2):
        case.record_success(20)
        assert case.pause() == 1, "of the last answers, more than a tenth"
        case.now += 1
    case.record_success(40)
    assert case.pause() == 0
    assert case.pause() == 0
    assert case.pause() == 1, "some more, and it is no accident"


def test_complaints_fade_with_each_other_too() -> None:
    """Twenty in a row are forgotten after eighty good answers, and not much sooner."""
    for good, held in ((90, False), (60, True)):
        case = Case()
        for _ in range(20):
            case.now += case.pause()
        case.record_success(good)
        assert (case.pause() > 0) is held


def test_a_pause_for_an_accident_is_not_soon_followed_by_another() -> None:
    """Everybody is held up for a tenth of the time at most."""
    case = Case()
    case.record_success(300)
    accident = ServerError(503, retry_after=4)
    case.record_failure(accident, 2)
    assert case.monitor.paused_for() == 4
    assert case.ramp is None, "too short for a crowd to gather"
    case.now += 4
    case.record_success(50)
    case.now += 35
    case.record_failure(accident, 2)
    assert case.monitor.paused_for() == 0
    case.record_success(50)
    case.now += 1
    case.record_failure(accident)
    assert case.monitor.paused_for() == 4


@pytest.mark.parametrize(("seconds", "gradually"), [(5, False), (6, True)])
def test_those_held_for_long_by_an_accident_come_back_gradually(
    seconds: float, gradually: bool
) -> None:
    """At the pace there was: it is no complaint of it."""
    case = Case()
    case.record_success(2000, every=0.01)
    case.record_failure(RateLimitError(429, retry_after=seconds), 2)
    assert case.monitor.paused_for() == pytest.approx(seconds)
    if gradually:
        end = case.now + seconds
        assert same_pace(case.ramp, after_outage(end, 100), end)
    else:
        assert case.ramp is None


def test_the_pace_after_complaints() -> None:
    """Half of what was too much: of the usual at first, then of what was allowed since."""
    case = Case()
    case.record_success(2000, every=0.01)
    generation = case.admit()
    for number in range(20):
        case.monitor.record_failure(generation, f"task {number}", RateLimitError(429))
    case.now += case.monitor.paused_for()
    for allowed in (100, 50, 25):
        end = case.now
        assert same_pace(case.ramp, after_complaint(end, allowed), end)
        case.now = end + 5
        case.record_failure(RateLimitError(429, retry_after=60))
        case.now += 60


def test_the_pace_after_the_first_complaint() -> None:
    """Half of the usual; of a few, where no answer was good yet."""
    case = Case()
    case.record_success(10, every=0.025)
    usual = 10.0
    case.record_failure(RateLimitError(429, retry_after=60), 2)
    assert same_pace(case.ramp, after_complaint(case.now + 60, usual), case.now + 60)
    case = Case()
    case.record_failure(RateLimitError(429, retry_after=60), 2)
    assert same_pace(case.ramp, after_complaint(START + 60, 0), START + 60)
    case.now += 60.5
    case.record_failure(RateLimitError(429, retry_after=60))
    end = case.now + 60
    assert same_pace(case.ramp, after_complaint(end, 10), end)


# Trouble is charged to what caused it.


def test_a_route_that_is_down_holds_no_other_route() -> None:
    """However long it is down: those of other routes go out, and are not slowed down either."""
    case = Case()
    case.record_success(20, route=VIDEOS)
    case.record_failure(ServerError(502, http_status=502), 20)
    for _ in range(100):
        case.now += 1
        case.record_success(1, route=VIDEOS)
        case.record_success(1, route=SUBMITS)
    case.monitor.record_success(case.probe(), case.now, "probe")
    assert case.ramp is not None
    assert all(case.admit(route).route.pace.is_free for route in (VIDEOS, SUBMITS))
    assert case.limiter.pace.is_free
    assert case.monitor.state is BreakerState.RECOVERING


def test_each_route_has_its_own_row_of_failures() -> None:
    """Nineteen of one and nineteen of another are no outage; nor do good ones of another end it."""
    case = Case()
    for route in (IMAGES, VIDEOS, SUBMITS):
        case.record_failure(ServerError(502), 19, route)
    assert case.monitor.state is BreakerState.CLOSED
    case.record_success(1, route=VIDEOS)
    case.record_failure(ServerError(502))
    case.held(IMAGES)
    case.admit(VIDEOS)
    case.admit(SUBMITS)


@pytest.mark.parametrize("label", ["no connection", "no DNS answer", "no TLS", "proxy refusal"])
def test_the_trouble_of_the_host_holds_every_route(
    label: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that has not been asked for yet; whichever is answered speaks for all."""
    case = Case()
    error = ConnectionFailedError("no", label=label)
    case.record_failure(error, 10, IMAGES)
    case.record_failure(error, 10, VIDEOS)
    for route in (IMAGES, VIDEOS, SUBMITS):
        held = case.held(route)
        assert str(held) == "not asked, because example.org is down, for 0 s so far"
        assert held.__cause__ is not None
    assert caplog.messages == [f"example.org is down ({label}): asked by probes alone"]
    assert case.monitor.outages == 1
    case.monitor.record_success(case.probe(VIDEOS), case.now, "probe")
    for route in (IMAGES, VIDEOS, SUBMITS):
        assert case.admit(route).route.breaker.state is BreakerState.CLOSED
    assert case.limiter.pace.ramp is not None, "all come back gradually"


def test_a_host_that_answers_503_is_reached_again() -> None:
    """It was refused before: from here on it is the trouble of the route that was asked for."""
    case = Case()
    case.record_failure(REFUSED, 20)
    case.monitor.record_failure(case.probe(), "probe", ServerError(503, http_status=503))
    case.admit(VIDEOS)
    case.record_failure(ServerError(503, http_status=503), 19)
    case.held(IMAGES)
    case.admit(VIDEOS)


GATEWAY = [
    ServerError(502, http_status=502),
    ServerError(503, http_status=503),
    RequestTimeoutError("no answer"),
    ConnectionFailedError("hung up", label="lost connection"),
]


@pytest.mark.parametrize("error", GATEWAY, ids=lambda error: str(error)[:20])
def test_several_routes_that_are_down_speak_for_the_host(
    error: AiToEarnError, caplog: pytest.LogCaptureFixture
) -> None:
    """Also for one that has not been asked for: all share one probe, and are back with it."""
    case = Case()
    case.record_success(1, route=SUBMITS)
    case.now += 1
    case.record_failure(error, 20, IMAGES)
    case.admit(SUBMITS)
    case.record_failure(error, 20, VIDEOS)
    for route in (IMAGES, VIDEOS, SUBMITS, "/models"):
        held = case.held(route)
        assert str(held) == "not asked, because example.org is down, for 0 s so far"
        assert isinstance(held.__cause__, type(error))
    assert len(caplog.messages) == 3
    assert case.monitor.outages == 2, "it is one and the same as that of the routes"
    probe = case.probe(VIDEOS)
    assert {type(case.monitor.admit(route)) for route in (IMAGES, SUBMITS)} == {NotAskedError}
    case.monitor.record_failure(probe, "probe", error)
    case.held(SUBMITS)
    case.monitor.record_success(case.probe(VIDEOS), case.now, "probe")
    case.admit(SUBMITS)
    case.admit(VIDEOS)


def test_a_route_that_answers_meanwhile_speaks_for_the_host_too() -> None:
    """Two kinds are down, and no more than these."""
    case = Case()
    bad = ServerError(502, http_status=502)
    case.record_failure(bad, 20, IMAGES)
    case.now += 0.1
    case.record_success(1, route=SUBMITS)
    case.record_failure(bad, 20, VIDEOS)
    case.held(IMAGES)
    case.held(VIDEOS)
    case.admit(SUBMITS)


def test_what_the_service_itself_says_of_its_routes_is_not_the_hosts() -> None:
    """Code 500 with HTTP 200: something behind it is down, and it says so."""
    case = Case()
    case.record_failure(ServerError(500, http_status=200), 20, IMAGES)
    case.record_failure(ServerError(502, http_status=502), 20, VIDEOS)
    case.admit(SUBMITS)


def test_a_host_that_is_down_for_its_routes_is_back_when_the_service_says_no() -> None:
    case = Case()
    bad = ServerError(502, http_status=502)
    case.record_failure(bad, 20, IMAGES)
    case.record_failure(bad, 20, VIDEOS)
    case.monitor.record_failure(case.probe(), "probe", ServerError(500, http_status=200))
    case.admit(SUBMITS)
    case.admit(VIDEOS)
    case.held(VIDEOS)  # but for its own probe


def test_all_routes_go_on_after_the_host_was_down_twice() -> None:
    """What was admitted before says nothing; what is admitted after it counts."""
    case = Case()
    case.record_success(1, route=VIDEOS)
    before = case.admit(VIDEOS)
    for _ in range(2):
        case.record_failure(REFUSED, 20)
        case.monitor.record_success(case.probe(), case.now, "probe")
        case.now += 100
        case.limiter.pace.ramp = None
        case.admit(IMAGES)
    assert case.monitor.state is BreakerState.CLOSED
    assert not case.monitor.is_current(before)
    assert case.monitor.is_current(case.admit(VIDEOS))
    case.record_failure(ServerError(500), 20, VIDEOS)
    case.held(VIDEOS)


def test_a_quota_on_one_route_pauses_no_other() -> None:
    case = Case()
    case.record_failure(RateLimitError(429, retry_after=60), 2, SUBMITS)
    assert case.held(SUBMITS).retry_after == 60
    assert case.monitor.paused_for() == 60
    for route in (IMAGES, VIDEOS):
        assert case.admit(route).route.pace.is_free
    assert case.limiter.pace.is_free


def test_one_task_that_complains_holds_nobody() -> None:
    """However often: as long as others are answered, it speaks for itself alone."""
    case = Case()
    error = ServerError(503, http_status=503, retry_after=20)
    for _ in range(100):
        asked = case.monitor.record_failure(case.admit(), "poisoned", error)
        assert asked == 20, "it goes by it itself"
        assert case.monitor.paused_for() == 0
        case.record_success(3, every=5)


@pytest.mark.parametrize("poisoned", [2, 3, 9])
def test_a_few_tasks_that_complain_hold_the_others_at_first_alone(poisoned: int) -> None:
    """When they are first heard of; from then on they speak for themselves."""
    case = Case()
    error = RateLimitError(429, retry_after=20)
    paused = 0
    for _ in range(50):
        for number in range(poisoned):
            case.monitor.record_failure(case.admit(), f"poisoned {number}", error)
            paused += case.monitor.paused_for() > 0
            case.now += case.monitor.paused_for()
        case.record_success(10, every=1)
    assert paused == poisoned - 1, "of fifty times as many complaints"


def test_a_limit_that_is_met_by_all_goes_on_to_pause() -> None:
    """Each task is told so now and then, between good answers."""
    case = Case()
    error = RateLimitError(429, retry_after=2)
    paused = 0
    for number in range(200):
        for subject in (f"task {number % 40}", f"task {(number + 20) % 40}"):
            case.monitor.record_failure(case.admit(), subject, error)
            paused += case.monitor.paused_for() > 0
            case.now += case.monitor.paused_for()
            case.monitor.record_success(case.admit(), case.now, subject)
    assert paused > 150


def test_one_task_alone_that_is_told_so_twice_is_believed() -> None:
    """Nobody was answered between: there is nothing that speaks against it."""
    case = Case()
    error = RateLimitError(429, retry_after=20)
    for held in (0, 20):
        case.monitor.record_failure(case.admit(), "task", error)
        assert case.monitor.paused_for() == held


def test_the_last_question_of_a_wait_goes_out_though_the_service_is_down() -> None:
    """But not while it has asked to be left alone. It is as good as any probe."""
    case = Case()
    case.record_failure(ServerError(500), 20)
    case.held()
    admission = case.monitor.admit(IMAGES, is_final=True)
    assert not isinstance(admission, NotAskedError)
    case.monitor.record_success(admission, case.now, "task")
    assert case.monitor.state is BreakerState.RECOVERING
    case.record_failure(RateLimitError(429, retry_after=60), 2)
    assert isinstance(case.monitor.admit(IMAGES, is_final=True), NotAskedError)


def test_what_was_never_answered_is_known() -> None:
    """By an answer of the service itself, good or not: not by a proxy's, or a stranger's."""
    for error in (*DOWN, *NEITHER, REFUSED, ContractError("another service's JSON")):
        case = Case()
        case.record_failure(error, 3)
        assert not case.monitor.answered
    for error in (ApiError(1), TaskNotFoundError(404)):
        case = Case()
        case.record_failure(error)
        assert case.monitor.answered
    case = Case()
    case.record_success(1)
    assert case.monitor.answered


def test_routes_without_end_are_not_remembered() -> None:
    case = Case()
    for number in range(1000):
        case.record_success(1, route=f"/list/{number}")
    assert len(case.monitor._routes) < 200
