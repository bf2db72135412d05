"""Whatever happens, every ref has exactly one outcome for each time it was given."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenacity import wait_fixed

from aitoearn_async import (
    ApiError,
    AuthenticationError,
    Batch,
    ConnectionFailedError,
    ContractError,
    ImageRef,
    ImageTask,
    InvalidRequestError,
    Outcome,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TaskFailedError,
    TaskNotFoundError,
    UnexpectedResponseError,
)
from aitoearn_async._polling.batch import batch as batch_module
from aitoearn_async._polling.wait.state import PollError
from tests.polling.model import CreepingLoop, Service, as_image, batch, images, now, run

# Thousands of runs, each over lines that other tests cover: to trace them doubles the time.
pytestmark = pytest.mark.usefixtures("untraced")

REFS = images(40)

# A 401 or a bad certificate at the start ends the batch; the rest is one task's affair.
TROUBLE: list[PollError] = [
    TaskNotFoundError(404),
    InvalidRequestError(10002),
    ApiError(12300),
    RateLimitError(429),
    RateLimitError(429, retry_after=30),
    ServerError(500),
    ServerError(503, retry_after=300),
    ConnectionFailedError("refused"),
    RequestTimeoutError("late"),
    UnexpectedResponseError("html"),
    UnexpectedResponseError("redirect", transient=False),
    ContractError("no status"),
]

moderate = settings(
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Story(NamedTuple):
    """A batch and its circumstances."""

    given: list[ImageRef]
    lives: dict[ImageRef, float]
    words: dict[ImageRef, str]
    troubles: dict[tuple[ImageRef, int], PollError]
    latency: float
    timeout: float
    patience: float
    delay: float
    concurrency: int
    max_pending: int
    gap: float
    """Between two refs of the source; below 0: it is no async iterator at all."""
    pauses: list[float]
    """Of the consumer, after each outcome, over and over."""

    def service(self) -> Service:
        return Service(
            self.lives,
            words=self.words,
            latency=self.latency,
            trouble=lambda ref, number: self.troubles.get((ref, number)),
        )

    def source(self, pulled: list[ImageRef]) -> Iterator[ImageRef] | AsyncIterator[ImageRef]:
        return self._now(pulled) if self.gap < 0 else self._later(pulled)

    def _now(self, pulled: list[ImageRef]) -> Iterator[ImageRef]:
        for ref in self.given:
            pulled.append(ref)
            yield ref

    async def _later(self, pulled: list[ImageRef]) -> AsyncIterator[ImageRef]:
        for ref in self._now(pulled):
            await asyncio.sleep(self.gap)
            yield ref

    def batch(self, service: Service, pulled: list[ImageRef]) -> Batch[ImageTask]:
        return batch(
            self.source(pulled),
            service,
            timeout=self.timeout,
            patience=self.patience,
            wait=wait_fixed(self.delay),
            concurrency=self.concurrency,
            max_pending=self.max_pending,
        )


some_refs = st.sampled_from(REFS)
seconds = st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0]) | st.floats(0, 200)
stories = st.builds(
    Story,
    given=st.lists(some_refs, max_size=60)
    | st.lists(st.sampled_from(REFS[:3]), max_size=20)
    | st.permutations(REFS),
    lives=st.dictionaries(some_refs, seconds),
    words=st.dictionaries(some_refs, st.sampled_from(["success", "failed", "SUCCESS", "expired"])),
    troubles=st.dictionaries(
        st.tuples(some_refs, st.integers(1, 4)), st.sampled_from(TROUBLE), max_size=60
    ),
    latency=st.sampled_from([0.0, 0.1, 7.0]),
    timeout=st.sampled_from([0.0, 1.0, 20.0, 100.0, float("inf")]),
    patience=st.sampled_from([0.0, 5.0, 60.0, float("inf")]),
    delay=st.sampled_from([0.1, 5.0, 30.0]),
    concurrency=st.sampled_from([1, 2, 8, 64]),
    max_pending=st.sampled_from([1, 2, 10, 1000]),
    gap=st.sampled_from([-1.0, 0.0, 0.3, 20.0]),
    pauses=st.lists(seconds, min_size=1, max_size=5),
)


def is_right(story: Story, outcome: Outcome[ImageTask]) -> bool:
    """Whether this can be the end of that task, in that story."""
    if outcome.error is None:
        return outcome.task is not None and outcome.task.state.name == "SUCCEEDED"
    if isinstance(outcome.error, TaskFailedError):
        return outcome.task is outcome.error.task and outcome.task.state.name == "FAILED"
    return outcome.task is None or not outcome.task.done


@pytest.mark.sampled(3)
@pytest.mark.parametrize("ready", [2, 1024])
@pytest.mark.parametrize("loop_factory", [None, CreepingLoop])
@given(story=stories)
@moderate
def test_every_ref_has_one_outcome(loop_factory: Any, ready: int, story: Story) -> None:
    """In any story, at any pace of the consumer; and never is more held than there is room."""
    pulled: list[ImageRef] = []
    taken: list[Outcome[ImageTask]] = []
    service = story.service()

    async def main() -> None:
        async with story.batch(service, pulled) as waiting:
            async for outcome in waiting:
                assert len(pulled) - len(taken) <= story.max_pending
                taken.append(outcome)
                standing = waiting.statistics()
                ended = standing.succeeded + standing.failed + standing.unresolved
                assert ended == len(taken) + standing.ready
                assert standing.polls == service.polls.total() - standing.in_flight
                assert standing.pending >= 0
                assert 0 <= standing.in_flight <= story.concurrency
                if pause := story.pauses[len(taken) % len(story.pauses)]:
                    await asyncio.sleep(pause)
            assert waiting.statistics().exhausted
            assert waiting.statistics().pending == waiting.statistics().ready == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_module, "_MOST_READY", ready)
        run(main, **({"loop_factory": loop_factory} if loop_factory else {}))
    assert Counter(outcome.ref for outcome in taken) == Counter(story.given)
    assert all(is_right(story, outcome) for outcome in taken)
    assert service.most_at_once <= story.concurrency
    if story.timeout == 0:
        assert service.polls <= Counter(story.given), "each is looked at once"


@given(story=stories, after=st.floats(0, 300), how=st.sampled_from(["break", "raise", "cancel"]))
@moderate
def test_whatever_ends_it_ends_it(story: Story, after: float, how: str) -> None:
    """A consumer that leaves, fails or is cancelled at any moment stops all work at once."""
    service = story.service()
    taken: list[ImageRef] = []
    pulled: list[ImageRef] = []

    async def consume() -> None:
        end = now() + after
        async with story.batch(service, pulled) as waiting:
            async for outcome in waiting:
                taken.append(as_image(outcome.ref))
                await asyncio.sleep(story.pauses[len(taken) % len(story.pauses)])
                if now() >= end and how == "break":
                    break
                if now() >= end and how == "raise":
                    raise LookupError

    async def main() -> None:
        consumer = asyncio.create_task(consume())
        if how == "cancel":
            await asyncio.sleep(after)
            consumer.cancel()
        await asyncio.wait([consumer])
        assert consumer.cancelled() or isinstance(consumer.exception(), LookupError | None)
        asked, read = service.polls.total(), len(pulled)
        await asyncio.sleep(1000)
        assert (service.polls.total(), len(pulled)) == (asked, read)

    run(main)
    assert not Counter(taken) - Counter(story.given)


@given(story=stories, timeouts=st.lists(st.floats(0.5, 20), min_size=1, max_size=10))
@moderate
def test_no_outcome_is_lost_to_a_consumers_timeout(story: Story, timeouts: list[float]) -> None:
    """A wait for the next outcome can be cut short any number of times; nothing gets lost."""
    taken: list[ImageRef] = []

    async def main() -> None:
        async with story.batch(story.service(), []) as waiting:
            for number in range(100_000):
                try:
                    async with asyncio.timeout(timeouts[number % len(timeouts)]):
                        taken.append(as_image((await anext(waiting)).ref))
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    return

    run(main)
    assert Counter(taken) == Counter(story.given)


@given(story=stories, at=st.tuples(some_refs, st.integers(1, 4)))
@moderate
def test_what_ends_the_batch_comes_after_the_outcomes(
    story: Story, at: tuple[ImageRef, int]
) -> None:
    """A refused key, at whatever poll: what had ended before comes out, and comes out once."""
    story.troubles[at] = AuthenticationError(401)
    story.troubles[at[0], at[1] + 1] = AuthenticationError(401)
    taken: list[ImageRef] = []
    service = story.service()

    async def main() -> None:
        async with story.batch(service, []) as waiting:
            try:
                async for outcome in waiting:
                    taken.append(as_image(outcome.ref))  # noqa: PERF401 - it may raise
            except AuthenticationError:
                asked = service.polls.total()
                standing = waiting.statistics()
                ended = standing.succeeded + standing.failed + standing.unresolved
                assert ended == len(taken)
                await asyncio.sleep(1000)
                assert service.polls.total() == asked
            else:
                assert Counter(taken) == Counter(story.given)

    run(main)
    assert not Counter(taken) - Counter(story.given)
