"""A service as plain functions on the loop's clock, and a loop of its own for each run of it.

No sockets and no mocks: it answers by what time it is, so hours of it take seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import tenacity

from aitoearn_async import (
    Batch,
    BatchStatistics,
    ImageRef,
    ImageTask,
    Outcome,
    RequestTimeoutError,
    TaskRef,
    WaitStrategy,
)
from aitoearn_async._polling.wait.settings import Evidence, WaitSettings
from aitoearn_async._polling.wait.state import PollError, PollResult, WaitState
from aitoearn_async._runtime.lifetime import Lifetime
from aitoearn_async._verdict import Verdict
from aitoearn_async.contract.endpoints import endpoint_of
from aitoearn_async.emulator import VirtualTimeLoop

R = TypeVar("R")

Trouble = Callable[[ImageRef, int], PollError | None]
"""What goes wrong with the n-th poll of a task, from 1; None if nothing does."""


class Service:
    """Answers polls.

    Args:
        life: Seconds from the first poll of a task to its end; 10 for those not named.
        words: The word that a task ends with; "success" for those not named.
        latency: Seconds that each poll takes.
        trouble: What goes wrong.

    Attributes:
        polls: How often each task was asked for.
        starts: When polls began, in loop time.
        most_at_once: The most polls there ever were under way.
    """

    def __init__(
        self,
        life: dict[ImageRef, float] | None = None,
        *,
        words: dict[ImageRef, str] | None = None,
        latency: float = 0.1,
        trouble: Trouble = lambda ref, number: None,
    ) -> None:
        self.life = life or {}
        self.words = words or {}
        self.latency = latency
        self.trouble = trouble
        self.polls: Counter[ImageRef] = Counter()
        self.starts: list[float] = []
        self.most_at_once = 0
        self._at_once = 0
        self._born: dict[ImageRef, float] = {}

    async def poll(self, wait: WaitState[ImageTask], end: float) -> PollResult[ImageTask] | Verdict:
        """One poll, as `Batch` asks for it."""
        ref, sent = as_image(wait.ref), now()
        self.polls[ref] += 1
        self.starts.append(sent)
        self._born.setdefault(ref, sent)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            async with asyncio.timeout_at(None if end == math.inf else end):
                await asyncio.sleep(self.latency)
        except TimeoutError:
            return Verdict.on(RequestTimeoutError("too late", label="no answer in time"))
        finally:
            self._at_once -= 1
        if (error := self.trouble(ref, self.polls[ref])) is not None:
            return Verdict.on(error)
        over = now() >= self._born[ref] + self.life.get(ref, 10.0)
        status = self.words.get(ref, "success") if over else "generating"
        known = status == wait.status and wait.final_poll_for is None
        return PollResult(
            status, None if known else ImageTask(log_id=ref.id, status=status), "e", sent
        )


class KnownService:
    """A service that has been seen."""

    answered: bool = True
    address: str = ""


def batch(
    refs: Iterable[TaskRef[ImageTask] | str] | AsyncIterable[TaskRef[ImageTask] | str],
    service: Service,
    *,
    timeout: float = math.inf,
    patience: float = math.inf,
    wait: WaitStrategy = tenacity.wait_fixed(5),  # noqa: B008 - it holds nothing
    max_pending: int = 100_000,
    concurrency: int = 8,
    lifetime: Lifetime | None = None,
    progress: Callable[[BatchStatistics], object] | None = None,
) -> Batch[ImageTask]:
    """A batch that asks this service."""
    settings = WaitSettings(timeout, patience, wait, Evidence((), KnownService()))

    def settings_of(ref: TaskRef[ImageTask]) -> WaitSettings:
        endpoint_of(ref)
        return settings

    return Batch(
        refs,
        settings_of,
        timeout=timeout,
        max_pending=max_pending,
        concurrency=concurrency,
        poll=service.poll,
        lifetime=lifetime or Lifetime(),
        progress=progress,
    )


async def never() -> None:
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()


async def collect(batch: Batch[ImageTask]) -> list[Outcome[ImageTask]]:
    """All outcomes of a batch."""
    async with batch:
        return [outcome async for outcome in batch]


async def until_error(
    batch: Batch[ImageTask],
) -> tuple[list[Outcome[ImageTask]], Exception]:
    """The outcomes of a batch that has been entered, and the error that comes after them."""
    outcomes: list[Outcome[ImageTask]] = []
    try:
        async for outcome in batch:
            outcomes.append(outcome)  # noqa: PERF401 - kept when it fails
    except Exception as error:
        return outcomes, error
    raise AssertionError("it ended well")


def as_image(ref: object) -> ImageRef:
    assert isinstance(ref, ImageRef)
    return ref


def images(count: int) -> list[ImageRef]:
    """So many refs, in their own order."""
    return [ImageRef(f"{number:06}") for number in range(count)]


def now() -> float:
    return asyncio.get_running_loop().time()


class CreepingLoop(VirtualTimeLoop):
    """A loop whose clock also moves while code runs, as real ones do: 10 µs a look."""

    _looks = 0

    def time(self) -> float:
        self._looks += 1
        return super().time() + self._looks * 1e-5


def run(
    main: Callable[[], Coroutine[Any, Any, R]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = VirtualTimeLoop,
) -> R:
    """Run on a loop of its own, and look that nothing is left behind on it."""
    complaints: list[dict[str, Any]] = []

    async def whole() -> R:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
        result = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not timers()
        return result

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(whole())
    assert not complaints
    return result


def timers() -> list[asyncio.TimerHandle]:
    """What the running loop is still to call, at a later time."""
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009 - typeshed hides it
    return [timer for timer in scheduled if not timer.cancelled()]
