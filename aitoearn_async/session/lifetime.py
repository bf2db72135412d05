"""How long things may last: the client's own life, and the bound of each call.

A client belongs to one event loop, from its first use to its close. Whatever is under way
when it closes ends at once, with `ClientClosedError`. What is done inside the bounds is no
business of this file.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from types import TracebackType

from ..errors import ClientClosedError
from .clock import Alarm, Clock

_PASSES = 6
"""Turns of the loop between a bound's end and the cancellation.

An answer may already be there, unread, because user code held the loop for seconds or
because it arrives at this very instant. A turn reads what the sockets hold; three more give
the parser and the reader theirs. More would make a busy loop's ends late: its turns are long.
"""

_FEWEST_PASSES = 2
_MOST_PASSING = 0.02
"""Where turns are long, because some server floods the client with bytes, there are so few, or
as many as begin within so many seconds: an end is not to come much later for it."""

_GRAIN = 0.005
"""Seconds. Ends that lie closer together come together, so that thousands cost no more."""

_ELSEWHERE = (
    "this Client is in use on another event loop (another thread, or an earlier asyncio.run); "
    "its connections live there. Make one Client per event loop"
)
_FORKED = (
    "this Client is in use in the process that this one was forked from, and so are its "
    "connections. Make one Client per process"
)

_process = os.getpid()  # a call of the system's that is too dear for every poll


def _note_process() -> None:
    global _process
    _process = os.getpid()


if hasattr(os, "register_at_fork"):  # where there is none, there is no fork
    os.register_at_fork(after_in_child=_note_process)


class Lifetime:
    """One client's life: not yet used, in use on one loop, closed."""

    def __init__(self) -> None:
        self.closed: bool = False
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop it is in use on."""
        self._process = 0
        self._clock: Clock | None = None
        self._alarm: Alarm | None = None
        self.under_way: set[Bound] = set()
        """The bounds that hold now."""
        self.rings_at: float = math.inf
        """When the first of them may have to end."""

    def enter(self) -> Clock:
        """The client's clock, on the running loop, which becomes its own on first use.

        Raises:
            ClientClosedError: The client is closed.
            RuntimeError: The client is at home on another loop, or in another process.
        """
        loop = asyncio.get_running_loop()
        if self._clock is None or self.loop is not loop or self._process != _process:
            self._clock = self._settled(loop)
        if self.closed:
            raise ClientClosedError
        return self._clock

    def _settled(self, loop: asyncio.AbstractEventLoop) -> Clock:
        if self.loop is not None and not self.closed:
            raise RuntimeError(_ELSEWHERE if self._process == _process else _FORKED)
        self.loop, self._process = loop, _process
        return Clock(loop)

    def time(self) -> float:
        """Now, on the client's clock; also when it has been closed."""
        return (self._clock or self.enter()).time()

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        """Call at a moment of the client's clock."""
        return (self._clock or self.enter()).call_at(when, callback)

    async def sleep_until(self, when: float) -> None:
        """Sleep to a moment of the client's clock.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        clock = self.enter()
        with Bound(self):
            wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            alarm = clock.call_at(when, lambda: _wake(wake))
            try:
                await wake
            finally:
                alarm.cancel()

    async def until_closed(self) -> None:
        """Sleep until the client closes.

        Raises:
            ClientClosedError: The client closed, or was closed already.
        """
        self.enter()
        with Bound(self):
            await asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """End what is under way; refuse what comes.

        Raises:
            RuntimeError: The client is at home on another loop.
        """
        if self.closed:
            return
        self.enter()
        self.closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for bound in tuple(self.under_way):
            bound.close()

    # One timer for all bounds, at the first end or before it. A timer for each, nearly all of
    # them cancelled again, would be a good part of what a poll costs.

    def ring_by(self, moment: float) -> None:
        """Look at the bounds at this moment, which is before any at which they are looked at."""
        if self._alarm is not None:
            self._alarm.cancel()
        self.rings_at = moment
        self._alarm = self.call_at(moment, self._ring)

    def _ring(self) -> None:
        now, self._alarm, self.rings_at = self.rings_at, None, math.inf
        following, loop = math.inf, asyncio.get_running_loop()
        latest = loop.time() + _MOST_PASSING
        for bound in self.under_way:
            if bound.until <= now:
                bound.expire(loop, _PASSES, latest)
            else:
                following = min(following, bound.until)
        if following < math.inf:
            self.ring_by(max(following, now + _GRAIN))


def is_cancelled() -> bool:
    """Whether somebody has cancelled the running task.

    If not, a `CancelledError` in it is of something that was waited for. Passed on, it would end
    a call as if the caller had wanted that: a task group does not say a word.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Bound:
    """What is inside ends by a moment of the client's clock, or when the client closes.

    Like `asyncio.timeout_at`, but an answer that is there at the moment itself is not lost. To
    be used after `Lifetime.enter`.

    Raises:
        TimeoutError: On leaving, when the moment has passed and ended what was inside.
        ClientClosedError: On leaving, when the client was closed under it.
    """

    __slots__ = ("_cancelling", "_end", "_lifetime", "_passing", "_task", "until")

    def __init__(self, lifetime: Lifetime, until: float = math.inf) -> None:
        self.until: float = until
        self._lifetime = lifetime
        self._passing: asyncio.Handle | None = None
        self._end: type[TimeoutError | ClientClosedError] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task(self._lifetime.loop)
        if task is None:
            raise RuntimeError("a Client can only be used inside an asyncio task")
        if self._lifetime.closed:  # since `enter`, by what was awaited meanwhile
            raise ClientClosedError
        self._task = task
        self._cancelling = task.cancelling()
        self._lifetime.under_way.add(self)
        if self.until < self._lifetime.rings_at:
            self._lifetime.ring_by(self.until)

    def close(self) -> None:
        """End it now, because the client closes."""
        if self._task is asyncio.current_task():
            # It closes the client itself. A cancellation would stay with the task for good,
            # should it not await anything more in here.
            if self._passing is not None:
                self._passing.cancel()
            self._passing = asyncio.get_running_loop().call_soon(self._cancel, ClientClosedError)
        else:
            self._cancel(ClientClosedError)

    def expire(self, loop: asyncio.AbstractEventLoop, passes: int, latest: float) -> None:
        """End it after so many turns of the loop, because its time is over.

        After `latest`, in loop time, only a few turns are waited for.
        """
        self.until = math.inf
        few = passes <= _PASSES - _FEWEST_PASSES and loop.time() > latest
        if passes and not few:
            self._passing = loop.call_soon(self.expire, loop, passes - 1, latest)
        else:
            self._cancel(TimeoutError)

    def _cancel(self, end: type[TimeoutError | ClientClosedError]) -> None:
        if self._end is None:
            self._end = end
            self._task.cancel()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lifetime.under_way.discard(self)
        if self._passing is not None:
            self._passing.cancel()
        if self._end is None:
            return
        # As in `asyncio.timeout`: the cancellation is ours to turn into an error only if
        # nobody else has asked for one too.
        if self._task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise self._end from None
