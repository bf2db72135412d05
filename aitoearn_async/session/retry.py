"""Repeats one failed request, a few times and not past its deadline.

tenacity does the repeating, and only after a first failure: an undisturbed request never
gets here. What is worth repeating says the error itself. Polling on is another room's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from ..errors import AiToEarnError

T = TypeVar("T")

MOST_RETRY_AFTER = 300.0
"""Seconds. A service that asks for more is asked again anyway: the header is often junk."""

_backoff = wait_random_exponential(multiplier=0.5, max=8)


async def repeat(
    attempt: Callable[[], Awaitable[T]],
    first: AiToEarnError,
    *,
    attempts: int,
    before: float,
    sleep_until: Callable[[float], Awaitable[None]],
) -> T:
    """Go on after a first failure.

    Args:
        attempt: Sends the request once.
        first: How the first attempt failed.
        attempts: How many there may be in all, the first included.
        before: Loop time after which no further one is begun, nor slept for.
        sleep_until: Sleeps to a moment of loop time.

    Raises:
        AiToEarnError: How the last attempt failed.
    """
    loop = asyncio.get_running_loop()
    failed: AiToEarnError | None = first

    async def attempt_or_first() -> T:
        nonlocal failed
        if failed is not None:
            error, failed = failed, None
            raise error
        return await attempt()

    async def sleep(seconds: float) -> None:
        await sleep_until(loop.time() + seconds)

    def stop(state: RetryCallState) -> bool:
        return stop_attempts(state) or loop.time() + state.upcoming_sleep >= before

    stop_attempts = stop_after_attempt(attempts)
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


def _delay(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    if asked is None:
        return _backoff(state)
    # Some more, at random: the others who were told the same should not all be back at once.
    return float(asked) * random.uniform(1.0, 1.2)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How long the service asks to be left alone (`Retry-After`), in seconds.

    Reads seconds and dates; a date counts from the answer's own `Date`. The result lies
    between 0 and `MOST_RETRY_AFTER`; None if the header is missing or cannot be read.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return min(float(value), MOST_RETRY_AFTER)
    then = http_date(value)
    if then is None:
        return None
    now = http_date(headers.get("Date", "")) or datetime.now(UTC)
    return min(max((then - now).total_seconds(), 0.0), MOST_RETRY_AFTER)


def http_date(text: str) -> datetime | None:
    """A moment as HTTP headers give it; None if it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
