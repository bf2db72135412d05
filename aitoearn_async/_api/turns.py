"""Turns: requests for the same video go one after the other, and pages of their list alone.

With the first request for a finished video the service writes: a cover, an upload, a row. Two
requests at the same time make it write twice, and a page of the list counts as a request for each
video on it, which nobody knows beforehand. Most videos are asked for by one request at a time and
seldom by pages; for those a turn costs an entry in a dict.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .._runtime.lifetime import Lifetime, Timeout


class Turns:
    """The turns of one client.

    Args:
        lifetime: The client's, for its clock.
    """

    def __init__(self, lifetime: Lifetime) -> None:
        self.of_one: dict[str, Queue] = {}
        """The queues of single videos, while somebody stands in them."""
        self.of_all: Queue = Queue(lifetime)
        """Those for a video go in together, and those for a page alone."""

    def video(self, id: str, deadline: float, *, writes: bool = True) -> VideoTurn:
        """Return a block in which no other request asks for a video.

        Entering it tells whether anything may be sent: not where the deadline came first.

        Args:
            id: The video.
            deadline: A moment of the client's clock.
            writes: The service may write for it: it may belong to a group.
        """
        return VideoTurn(self, id, deadline, writes=writes)

    @asynccontextmanager
    async def page(self, deadline: float) -> AsyncGenerator[bool]:
        """Return a block in which nothing else asks for a video that the service may write for.

        Args:
            deadline: As in `video`.
        """
        is_its_turn = await self.of_all.enter(deadline, alone=True)
        try:
            yield is_its_turn
        finally:
            if is_its_turn:
                self.of_all.leave()

    @property
    def are_idle(self) -> bool:
        """Nobody has a turn, or waits for one."""
        return not self.of_one and self.of_all.is_empty


class Queue:
    """A queue, first come, first served: several go in together, or one that goes alone.

    Args:
        lifetime: The client's, for its clock.
    """

    def __init__(self, lifetime: Lifetime) -> None:
        self.lifetime = lifetime
        self._inside = 0
        self._is_alone = False
        self._waiting: deque[tuple[asyncio.Future[None], bool]] = deque()

    @property
    def is_empty(self) -> bool:
        """Nobody is inside, and nobody waits."""
        return not self._inside and not self._waiting

    async def enter(self, deadline: float, *, alone: bool) -> bool:
        """Go in, or wait for it. Return False where the deadline came first."""
        if not self._waiting and self._admits(alone):
            self._admit(alone)
            return True
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entered, alone))
        try:
            with Timeout(self.lifetime, deadline):
                await entered
        except TimeoutError:
            return _is_in(entered)
        except BaseException:
            if _is_in(entered):
                self.leave()
            raise
        finally:
            entered.cancel()
            self._let_in()  # who stood behind this one may be able to go in
        return True

    def leave(self) -> None:
        """Go out, and let in who is next."""
        self._inside -= 1
        self._is_alone = False
        self._let_in()

    def _admits(self, alone: bool) -> bool:
        return not self._inside or not (alone or self._is_alone)

    def _admit(self, alone: bool) -> None:
        self._inside += 1
        self._is_alone = alone

    def _let_in(self) -> None:
        """Let in the first ones that wait, as many as can go in together."""
        while self._waiting:
            entered, alone = self._waiting[0]
            if not entered.done():
                if not self._admits(alone):
                    return
                self._admit(alone)
                entered.set_result(None)
            self._waiting.popleft()


class VideoTurn:
    """The turn of one video, to be used with `async with`."""

    __slots__ = ("_deadline", "_entered", "_id", "_turns", "_writes")

    def __init__(self, turns: Turns, id: str, deadline: float, *, writes: bool) -> None:
        self._turns = turns
        self._id = id
        self._deadline = deadline
        self._writes = writes
        self._entered: list[Queue] = []

    async def __aenter__(self) -> bool:
        of_one, of_all = self._turns.of_one, self._turns.of_all
        own = of_one.get(self._id)
        if own is None:
            own = of_one[self._id] = Queue(of_all.lifetime)
        try:
            for queue in (own, of_all) if self._writes else (own,):
                if not await queue.enter(self._deadline, alone=queue is own):
                    return False
                self._entered.append(queue)
            return True
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        for queue in self._entered:
            queue.leave()
        own = self._turns.of_one.get(self._id)
        if own is not None and own.is_empty:
            del self._turns.of_one[self._id]


def _is_in(entered: asyncio.Future[None]) -> bool:
    return entered.done() and not entered.cancelled()
