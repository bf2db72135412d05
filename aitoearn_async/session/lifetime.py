"""How long things may last: the client's own life, and the bound of each call.

A client belongs to one event loop, from its first use to its close. Whatever is under way
when it closes ends at once, with `ClientClosedError`. What is done inside the bounds is no
business of this file.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from ..errors import ClientClosedError

_PASSES = 16
"""Turns of the loop between a bound's end and the cancellation.

An answer may already be there, unread, because user code held the loop for seconds or
because it arrives at this very instant. A turn reads what the sockets hold; the rest give
the parser and the reader theirs. It costs well under a millisecond.
"""


class Lifetime:
    """One client's life: not yet used, in use on one loop, closed."""

    def __init__(self) -> None:
        self.closed: bool = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: set[Bound] = set()

    def enter(self) -> asyncio.AbstractEventLoop:
        """The running loop, which becomes the client's own on first use.

        Raises:
            ClientClosedError: The client is closed.
            RuntimeError: The client is at home on another loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._settle(loop)
        if self.closed:
            raise ClientClosedError
        return loop

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and not self.closed:
            raise RuntimeError(
                "this Client is in use on another event loop (another thread, or an earlier "
                "asyncio.run); its connections live there. Make one Client per event loop"
            )
        self._loop = loop

    def bound(self, until: float | None) -> Bound:
        """A bound for what happens inside `async with`; `until` is in seconds of loop time."""
        return Bound(self.enter(), until, self._under_way)

    async def sleep_until(self, when: float) -> None:
        """Sleep to a moment of loop time.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        loop = self.enter()
        async with Bound(loop, None, self._under_way):
            wake = loop.create_future()
            timer = loop.call_at(when, _wake, wake)
            try:
                await wake
            finally:
                timer.cancel()

    async def until_closed(self) -> None:
        """Sleep until the client closes.

        Raises:
            ClientClosedError: The client closed, or was closed already.
        """
        loop = self.enter()
        async with Bound(loop, None, self._under_way):
            await loop.create_future()

    def close(self) -> None:
        """End what is under way; refuse what comes."""
        self.closed = True
        for bound in tuple(self._under_way):
            bound.close()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Bound:
    """What is inside ends by a moment of loop time, or when the client closes.

    Like `asyncio.timeout_at`, but an answer that is there at the moment itself is not lost.

    Raises:
        TimeoutError: On leaving, when the moment has passed and ended what was inside.
        ClientClosedError: On leaving, when the client was closed under it.
    """

    __slots__ = ("_cancelling", "_end", "_loop", "_task", "_timer", "_under_way", "_until")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, until: float | None, under_way: set[Bound]
    ) -> None:
        self._loop = loop
        self._until = until
        self._under_way = under_way
        self._timer: asyncio.Handle | None = None
        self._end: type[TimeoutError | ClientClosedError] | None = None

    async def __aenter__(self) -> Bound:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a Client can only be used inside an asyncio task")
        self._task = task
        self._cancelling = task.cancelling()
        self._under_way.add(self)
        if self._until is not None:
            self._timer = self._loop.call_at(self._until, self._expire, _PASSES)
        return self

    def tighten(self, until: float) -> None:
        """Move the end forward; a later one than now set changes nothing."""
        if self._until is not None:
            if until >= self._until:
                return
            assert self._timer is not None
            self._timer.cancel()
        self._until = until
        self._timer = self._loop.call_at(until, self._expire, _PASSES)

    def close(self) -> None:
        """End it now, because the client closes."""
        self._cancel(ClientClosedError)

    def _expire(self, passes: int) -> None:
        if passes:
            self._timer = self._loop.call_soon(self._expire, passes - 1)
        else:
            self._cancel(TimeoutError)

    def _cancel(self, end: type[TimeoutError | ClientClosedError]) -> None:
        if self._end is None:
            self._end = end
            self._task.cancel()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._under_way.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._end is None:
            return
        # As in `asyncio.timeout`: the cancellation is ours to turn into an error only if
        # nobody else has asked for one too.
        if self._task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise self._end from None
