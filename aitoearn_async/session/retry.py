"""Repeats one failed request, a few times and not past its deadline.

tenacity does the repeating, and only after a first failure: an undisturbed request never
gets here. What is worth repeating says the error itself. Polling on is another room's.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_random_exponential

from ..errors import AiToEarnError, NotAskedError
from .lifetime import Lifetime

T = TypeVar("T")

MOST_RETRY_AFTER = 300.0
"""Seconds. A service that asks for more is asked again anyway: the header is often junk."""

_SAVINGS = 50.0
_EARNED = 0.1


class Budget:
    """What a client may still repeat: one request for every ten, and some put by at first.

    One failure in a hundred is repeated as it comes. When most fail, repeating them all would
    treble the load on a service that cannot bear what it has.
    """

    def __init__(self) -> None:
        self._left = _SAVINGS

    def earn(self) -> None:
        """A request is to be sent, for the first time."""
        self._left = min(self._left + _EARNED, _SAVINGS)

    def spend(self) -> bool:
        """Take what a repetition costs. Returns whether it was there."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


_backoff = wait_random_exponential(multiplier=0.5, max=8)


async def persist(
    attempt: Callable[[], Awaitable[T]],
    *,
    attempts: int,
    before: float,
    budget: Budget,
    lifetime: Lifetime,
) -> T:
    """Send a request; again, while the trouble looks passing. Arguments as of `repeat`."""
    budget.earn()
    try:
        return await attempt()
    except AiToEarnError as error:
        if not error.transient or attempts == 1:
            raise
        first = error
    return await repeat(
        attempt, first, attempts=attempts, before=before, budget=budget, lifetime=lifetime
    )


async def repeat(
    attempt: Callable[[], Awaitable[T]],
    first: AiToEarnError,
    *,
    attempts: int,
    before: float,
    lifetime: Lifetime,
    budget: Budget | None = None,
) -> T:
    """Go on after a first failure.

    Args:
        attempt: Sends the request once.
        first: How the first attempt failed.
        attempts: How many there may be in all, the first included.
        before: Moment after which no further one is begun, nor slept for.
        lifetime: The client's, for its clock.
        budget: What all calls of the client may repeat; None for no such limit.

    Raises:
        AiToEarnError: How the last attempt failed.
    """
    failed: AiToEarnError | None = first
    held = 0

    async def attempt_or_first() -> T:
        nonlocal failed
        if failed is not None:
            error, failed = failed, None
            raise error
        return await attempt()

    async def sleep(seconds: float) -> None:
        await lifetime.sleep_until(lifetime.time() + seconds)

    def stop(state: RetryCallState) -> bool:
        nonlocal held
        # Who was held until the service wants to be asked again has not asked.
        held += _was_held(state)
        late = lifetime.time() + state.upcoming_sleep >= before
        if late or state.attempt_number - held >= attempts:
            return True
        return budget is not None and not (_is_asked_for(state) or budget.spend())

    retrying = AsyncRetrying(
        stop=stop,
        wait=_delay,
        # A positive test of our own errors: nothing else, cancellation least of all, is caught.
        retry=retry_if_exception(_worth_another_try),
        sleep=sleep,
        reraise=True,
    )
    return await retrying(attempt_or_first)


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, AiToEarnError) and error.transient


def _is_asked_for(state: RetryCallState) -> bool:
    """Whether the service itself says when to come again: that is not a matter of the budget."""
    error = state.outcome.exception() if state.outcome else None
    return getattr(error, "retry_after", None) is not None


def _was_held(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return isinstance(error, NotAskedError) and error.retry_after is not None


def _delay(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    if asked is None:
        return _backoff(state)
    # Some more, at random: the others who were told the same should not all be back at once.
    return float(asked) * random.uniform(1.0, 1.2)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How long the service asks to be left alone (`Retry-After`), in seconds.

    Reads seconds and dates; a date counts from the answer's own `Date`. The result is above 0,
    up to `MOST_RETRY_AFTER`; None if the header is missing, cannot be read, or says "at once".
    That is no time to wait: everybody would be back at the same moment, and again at the next.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return min(float(value), MOST_RETRY_AFTER) or None
    then = http_date(value)
    if then is None:
        return None
    now = http_date(headers.get("Date", "")) or datetime.now(UTC)
    return min(max((then - now).total_seconds(), 0.0), MOST_RETRY_AFTER) or None


def http_date(text: str) -> datetime | None:
    """A moment as HTTP headers give it; None if it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
