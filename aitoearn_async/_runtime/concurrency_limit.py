"""Places for so many at a time, first come, first served. Who takes one is not known here.

It is a semaphore whose place can be taken without a coroutine, as nearly all are.
"""

from __future__ import annotations

import asyncio
from collections import deque


class ConcurrencyLimit:
    """So many places, each of which is free or taken.

    Args:
        count: The number of them.
    """

    def __init__(self, count: int) -> None:
        self.count: int = count
        self.taken: int = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        self._queue.clear()

    def try_take(self) -> bool:
        """Take a place if one is free. Return whether it was taken, and so is to be given back."""
        if self.taken >= self.count or self._queue:
            return False
        self.taken += 1
        return True

    async def take(self) -> None:
        """Wait for a place. Each one that is taken is to be given back."""
        if self.try_take():
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # the place was given at the same moment
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a place back: to the first one in the queue that still wants it."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.taken -= 1
