"""Repeats one failed request, a few times and not past its deadline.

tenacity does the repeating, and only after a first failure: an undisturbed request never
gets here. Whether it is worth repeating stands in the verdict on it. When to poll again is
another room's.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from tenacity.wait import wait_random_exponential

from .._runtime.lifetime import Lifetime
from .._verdict import Verdict
from ..errors import NotAskedError

T = TypeVar("T")

_FULL_BUDGET = 50.0
"""Retries that can be made at once."""
_BUDGET_PER_CALL = 0.1
"""Retries that each call adds to the budget."""

_backoff = wait_random_exponential(multiplier=0.5, max=8)


class Retrier:
    """Makes attempts, and repeats those that failed, for all calls of one client.

    They share a budget: one retry for every ten calls, and some at first. One failure in a hundred
    is repeated as it comes. When most fail, repeating them all would treble the load on a service
    that cannot bear what it has.

    Args:
        lifetime: The client's, for its clock.
        attempts: How many there may be in all, for one call.
    """

    def __init__(self, lifetime: Lifetime, attempts: int) -> None:
        self._lifetime = lifetime
        self.attempts: int = attempts
        self._budget = _FULL_BUDGET

    async def call(
        self,
        attempt: Callable[[float], Awaitable[T | Verdict]],
        seconds: float,
        confirm: Callable[[Verdict], bool] | None = None,
    ) -> T:
        """Make an attempt; others, while the verdict on the last one is to retry.

        Args:
            attempt: Sends the request once; it is given the moment of the client's clock at which
                it is over, and after which no further one begins.
            seconds: Seconds that one of them may take.
            confirm: Tells whether one more attempt, at once, must confirm a verdict.

        Raises:
            AiToEarnError: The last attempt failed.
        """
        if self._budget < _FULL_BUDGET:
            self._budget = min(self._budget + _BUDGET_PER_CALL, _FULL_BUDGET)
        self._lifetime.enter()
        deadline = self._lifetime.time() + self.attempts * seconds
        result = await attempt(deadline)
        if isinstance(result, Verdict):
            result = await self._again(attempt, result, deadline, confirm)
            if isinstance(result, Verdict):
                raise result.error
        return result

    async def _again(
        self,
        attempt: Callable[[float], Awaitable[T | Verdict]],
        first: Verdict,
        deadline: float,
        confirm: Callable[[Verdict], bool] | None,
    ) -> T | Verdict:
        async def confirmed(result: T | Verdict) -> T | Verdict:
            again = confirm is not None and isinstance(result, Verdict) and confirm(result)
            return await attempt(deadline) if again else result

        result = await confirmed(first)
        if self.attempts == 1 or not _is_to_retry(result):
            return result
        earlier: list[T | Verdict] = [result]
        held_back = 0

        async def first_or_attempt() -> T | Verdict:
            return earlier.pop() if earlier else await confirmed(await attempt(deadline))

        def stop(state: RetryCallState) -> bool:
            nonlocal held_back
            verdict = _verdict(state)
            # A request that is held back, until the service wants to be asked again, is none.
            held_back += isinstance(verdict.error, NotAskedError) and verdict.delay is not None
            late = self._lifetime.time() + state.upcoming_sleep >= deadline
            if late or state.attempt_number - held_back >= self.attempts:
                return True
            # Where the service itself says when to come again, that is no matter of the budget.
            return verdict.delay is None and not self._may_spend()

        retrying = AsyncRetrying(
            stop=stop,
            wait=_delay,
            retry=retry_if_result(_is_to_retry),
            sleep=self._lifetime.sleep,
            retry_error_callback=_verdict,
        )
        return await retrying(first_or_attempt)

    def _may_spend(self) -> bool:
        """Take what a retry costs out of the budget. Return whether it was there."""
        if self._budget < 1:
            return False
        self._budget -= 1
        return True


def _is_to_retry(result: object) -> bool:
    return isinstance(result, Verdict) and result.retry


def _verdict(state: RetryCallState) -> Verdict:
    assert state.outcome is not None
    verdict: Verdict = state.outcome.result()
    return verdict


def _delay(state: RetryCallState) -> float:
    asked = _verdict(state).delay
    if asked is None:
        return _backoff(state)
    # Some more, at random: the others who were told the same should not all be back at once.
    return asked * random.uniform(1.0, 1.2)
