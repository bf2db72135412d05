"""Turns: requests for the same video go out one after the other, and pages of the list alone.

At the first request for a finished video the service writes: a cover, an upload, a row. Two
requests at the same time make it write twice. A page of the list counts as a request for each video
on it, and which these are is not known beforehand. Most videos are asked for by one request at a
time, and seldom by pages. For those a turn costs an entry in a dict.
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
        """The queue of each video for which a request has a turn, or waits for one."""
        self.of_all: Queue = Queue(lifetime)
        """The queue of all requests: those for videos go in together, one for a page alone."""

    def video(self, id: str, deadline: float, *, writes: bool = True) -> VideoTurn:
        """Return a block in which no other request asks for a video.

        Entering it gives True if the request may be sent, and False if the deadline came first.

        Args:
            id: The id of the video.
            deadline: A moment of the client's clock.
            writes: The service may write for this video, so no page may be asked for meanwhile.
        """
        return VideoTurn(self, id, deadline, writes=writes)

    @asynccontextmanager
    async def page(self, deadline: float) -> AsyncGenerator[bool]:
        """Return a block in which nothing else asks for a video that the service may write for.

        Entering it gives the same as that of `video`.

        Args:
            deadline: A moment of the client's clock.
        """
        self.of_all.lifetime.enter()  # before another thread takes turns
        is_its_turn = await self.of_all.enter(deadline, alone=True)
        try:
            yield is_its_turn
        finally:
            if is_its_turn:
                self.of_all.leave()

    @property
    def are_idle(self) -> bool:
        """True while no request has a turn, or waits for one."""
        return not self.of_one and self.of_all.is_empty


class Queue:
    """A queue, first come, first served, for a place that several share or one has alone.

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
        """True while no request is inside, and none waits."""
        return not self._inside and not self._waiting

    async def enter(self, deadline: float, *, alone: bool) -> bool:
        """Go in, after waiting if need be. Return False if the deadline came first."""
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
            self._let_in()  # those behind this one may be able to go in now
        return True

    def leave(self) -> None:
        """Go out, and let the next ones in."""
        self._inside -= 1
        self._is_alone = False
        self._let_in()

    def _admits(self, alone: bool) -> bool:
        return not self._inside or not (alone or self._is_alone)

    def _admit(self, alone: bool) -> None:
        self._inside += 1
        self._is_alone = alone

    def _let_in(self) -> None:
        """Let the first ones that wait in, as many as can go in together."""
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
        of_all.lifetime.enter()  # before another thread takes turns
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
