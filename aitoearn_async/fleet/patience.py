"""Retries calls that the engine could not serve. Each of its calls may be repeated."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

from .errors import FleetUnavailableError

T = TypeVar("T")

log: logging.Logger = logging.getLogger("aitoearn_async.fleet")

_DELAYS = tenacity.wait_random_exponential(multiplier=0.1, max=2.0)


async def persist(call: Callable[[], Awaitable[T]], patience: float | None = None) -> T:
    """Repeat a call until the engine has served it.

    Args:
        call: The call. It is repeated after a `FleetUnavailableError`.
        patience: Seconds until that error is raised; None for no limit.
    """
    loop = asyncio.get_running_loop()
    until = math.inf if patience is None else loop.time() + patience
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(FleetUnavailableError),
        wait=_DELAYS,
        stop=lambda _: loop.time() >= until,
        before_sleep=_complain,
        reraise=True,
    )

    async def once() -> T:
        return await call()  # what only returns an awaitable would not be awaited

    return await retrying(once)


def _complain(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    # The first few, and then about one a minute.
    if state.attempt_number <= 3 or state.attempt_number % 30 == 0:
        log.warning("the fleet's engine did not answer, and is asked again: %s", error)
