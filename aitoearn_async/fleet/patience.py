"""Retries calls that the engine could not serve. Each of its calls may be repeated."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import FleetUnavailableError

T = TypeVar("T")

log: logging.Logger = logging.getLogger("aitoearn_async.fleet")

_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
"""The most seconds until the second try, the third, and so on; the last for all that follow."""


async def persist(call: Callable[[], Awaitable[T]], patience: float | None = None) -> T:
    """Repeat a call until the engine has served it.

    Nearly all calls are served at once, so no library is asked when to repeat them: tenacity takes
    longer to set up than a worker's call takes.

    Args:
        call: The call. It is repeated after a `FleetUnavailableError`.
        patience: Seconds until that error is raised; None for no limit.
    """
    loop = asyncio.get_running_loop()
    until = math.inf if patience is None else loop.time() + patience
    tries = 0
    while True:
        try:
            return await call()
        except FleetUnavailableError as error:
            if loop.time() >= until:
                raise
            if tries < 3 or tries % 30 == 29:  # the first few, and then about one a minute
                log.warning("the fleet's engine did not answer, and is asked again: %s", error)
        await asyncio.sleep(random.uniform(0, _DELAYS[min(tries, len(_DELAYS) - 1)]))
        tries += 1
