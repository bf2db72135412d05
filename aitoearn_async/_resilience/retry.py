"""Repeats one failed request, a few times and not past its deadline.

tenacity does the repeating. A request that succeeds never gets here. Whether a failed one is worth
repeating stands in the verdict on it: statuses and codes are in the tables of `_api/refusals`. When
to poll again is decided in `_polling/cadence`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from tenacity.wait import wait_random_exponential

from .._runtime.lifetime import Lifetime
from .._verdict import Verdict, longer
from ..errors import NotAskedError

T = TypeVar("T")

_FULL_BUDGET = 50.0
"""Retries that can be made at once."""
_BUDGET_PER_CALL = 0.1
"""Retries that each call adds to the budget."""

_backoff = wait_random_exponential(multiplier=0.5, max=8)


class Retrier:
    """Repeats attempts that failed, for all calls of one client.

    They share a budget: one retry for every ten calls, and some at first. One failure in a hundred
    is repeated as it comes. When most fail, repeating them all would treble the load on a service
    that cannot bear what it has.

    Args:
        lifetime: The client's, for its clock.
        attempts: How many there may be in all, for one call.
    """

    def __init__(self, lifetime: Lifetime, attempts: int) -> None:
        self.attempts: int = attempts
        self.calls: int = 0
        """Calls that have been made since the budget was last looked at."""
        self._lifetime = lifetime
        self._budget = _FULL_BUDGET

    async def again(
        self,
        attempt: Callable[[float], Awaitable[T | Verdict]],
        first: Verdict,
        deadline: float,
        confirm: Callable[[Verdict], bool] | None,
    ) -> T:
        """Make more attempts, while the verdict on the last one is to retry.

        Args:
            attempt: Sends the request once; it is given the deadline.
            first: The verdict on the first attempt.
            deadline: The moment of the client's clock at which an attempt is over, and after which
                no further one begins.
            confirm: Tells whether one more attempt, at once, must confirm a verdict.

        Raises:
            AiToEarnError: The last attempt failed.
        """

        async def confirmed(result: T | Verdict) -> T | Verdict:
            again = confirm is not None and isinstance(result, Verdict) and confirm(result)
            return await attempt(deadline) if again else result

        earlier: list[T | Verdict] = [await confirmed(first)]
        held_back = 0

        async def first_or_attempt() -> T | Verdict:
            return earlier.pop() if earlier else await confirmed(await attempt(deadline))

        def stop(state: RetryCallState) -> bool:
            nonlocal held_back
            verdict = _verdict(state)
            # A request that is held back, until the service wants to be asked again, is none.
            held_back += isinstance(verdict.error, NotAskedError) and verdict.delay is not None
            late = self._lifetime.time() + state.upcoming_sleep >= deadline
            if late or self.attempts in (1, state.attempt_number - held_back):
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
        result: T | Verdict = await retrying(first_or_attempt)
        if isinstance(result, Verdict):
            raise result.error
        return result

    def _may_spend(self) -> bool:
        """Take what a retry costs out of the budget. Return whether it was there."""
        earned, self.calls = self.calls * _BUDGET_PER_CALL, 0
        self._budget = min(self._budget + earned, _FULL_BUDGET)
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
    return _backoff(state) if asked is None else longer(asked)
