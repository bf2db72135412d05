"""Lifetimes: that of the client, and the timeout of each call.

A client belongs to one event loop at a time. When that one is closed and nothing is under way,
it moves to the next one that uses it, without its connections. Whatever is under way when it
closes ends at once, with `ClientClosedError`. What a call does is not known here.
"""

from __future__ import annotations

import asyncio
import math
import os
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ..errors import ClientClosedError
from .clock import Clock, Timer

_GRACE_TURNS = 6
"""Turns of the loop between a deadline and the cancellation.

An answer may already be there, unread, because user code held the loop for seconds or
because it arrives at this very instant. A turn reads what the sockets hold; three more give
the parser and the reader theirs. More would make a busy loop's ends late: its turns are long.
"""

_FEWEST_GRACE_TURNS = 2
_MOST_GRACE_SECONDS = 0.02
"""Seconds. Where a server floods the client with bytes, turns of the loop are long: then only so
many turns are waited for as begin within this time, and at least the fewest."""

_GRAIN_SECONDS = 0.005
"""Seconds. Deadlines that lie closer together expire together, so that thousands cost no more."""

_NEVER = 1e9
"""A moment that never comes, and that a loop accepts."""

_ELSEWHERE = (
    "this Client is in use on another event loop (of another thread, perhaps), which is not closed "
    "or was closed under a call; its connections live there. Make one Client per event loop"
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


class Lifetime(Clock):
    """One client's life, and its clock: not yet used, in use on one loop, closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: bool = False
        self.process: int = 0
        """The process that it is in use in."""
        self._timer: Timer | None = None
        self.under_way: set[Timeout] = set()
        """The timeouts that are running now."""
        self.expires_at: float = math.inf
        """The earliest moment at which one of them may expire."""
        self._on_move: list[weakref.WeakMethod[Callable[[], None]]] = []

    def enter(self) -> None:
        """Begin a call. The running loop becomes the client's own on first use.

        Raises:
            ClientClosedError: The client is closed.
            RuntimeError: The client is at home on another loop that is not closed, or in another
                process.
        """
        loop = asyncio.get_running_loop()
        if self.loop is not loop or self.process != _process:
            self._move_to(loop)
        if self.closed:
            raise ClientClosedError

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.loop is not None and not self.closed:
            if self.process != _process:
                raise RuntimeError(_FORKED)
            if not self.loop.is_closed() or self.under_way:
                raise RuntimeError(_ELSEWHERE)
            for held in self._on_move:
                if (forget := held()) is not None:
                    forget()
            self._timer, self.expires_at = None, math.inf
        self.bind(loop)
        self.process = _process

    def on_move(self, forget: Callable[[], None]) -> None:
        """Call a method when the client moves, to forget what is bound to the last loop.

        It is held weakly, since a timer holds the lifetime of a client that was dropped.
        """
        self._on_move.append(weakref.WeakMethod(forget))

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call at a moment of the client's clock."""
        if self.loop is None:
            self.enter()
        return super().call_at(when, callback)

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds of the client's clock.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        await self.sleep_until(self.time() + seconds)

    async def sleep_until(self, when: float, wake: asyncio.Future[Any] | None = None) -> None:
        """Sleep to a moment of the client's clock, or until a future is done.

        Args:
            when: The moment; infinity for none.
            wake: The future, which is done with None at that moment.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        with Timeout(self):
            woken = wake or asyncio.get_running_loop().create_future()
            timer = super().call_at(min(when, _NEVER), lambda: _wake(woken))
            try:
                await woken
            finally:
                timer.cancel()

    async def until_closed(self) -> None:
        """Sleep until the client closes.

        Raises:
            ClientClosedError: The client closed, or was closed already.
        """
        with Timeout(self):
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
        if self._timer is not None:
            self._timer.cancel()
        for timeout in tuple(self.under_way):
            timeout.close()

    # One timer for all timeouts, at the first deadline or before it. A timer for each, nearly all
    # of them cancelled again, would be a good part of what a poll costs.

    def schedule_expiry(self, moment: float) -> None:
        """Look at the timeouts at this moment, which is before the next look."""
        if self._timer is not None:
            self._timer.cancel()
        self.expires_at = moment
        self._timer = self.call_at(moment, self._expire)

    def _expire(self) -> None:
        now, self._timer, self.expires_at = self.expires_at, None, math.inf
        following, loop = math.inf, asyncio.get_running_loop()
        latest = loop.time() + _MOST_GRACE_SECONDS
        for timeout in self.under_way:
            if timeout.deadline <= now:
                timeout.expire(loop, _GRACE_TURNS, latest)
            else:
                following = min(following, timeout.deadline)
        if following < math.inf:
            self.schedule_expiry(max(following, now + _GRAIN_SECONDS))


def is_cancelled() -> bool:
    """Return whether somebody has cancelled the running task.

    If not, a `CancelledError` comes from something that was awaited. Passed on, it would end the
    call as if the caller had cancelled it, and a task group would hide it.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@contextmanager
def blaming(what: str) -> Generator[None]:
    """Raise a `RuntimeError` where what is awaited in a block was cancelled, and not the task."""
    try:
        yield
    except asyncio.CancelledError as exc:
        if is_cancelled():
            raise
        raise RuntimeError(f"{what} was cancelled") from exc


def _wake(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)


class Timeout:
    """A block that ends by a moment of the client's clock, or when the client closes.

    Like `asyncio.timeout_at`, but an answer that is there at the moment itself is not lost.

    Raises:
        TimeoutError: On leaving, when the moment has passed and ended what was inside.
        ClientClosedError: On leaving, when the client was closed under it. On entering, as
            `Lifetime.enter`, and its RuntimeErrors, too.
    """

    __slots__ = ("_cancelling", "_end", "_grace", "_lifetime", "_task", "deadline")

    def __init__(self, lifetime: Lifetime, deadline: float = math.inf) -> None:
        self.deadline: float = deadline
        self._lifetime = lifetime
        self._grace: asyncio.Handle | None = None
        self._end: type[TimeoutError | ClientClosedError] | None = None

    def __enter__(self) -> None:
        lifetime, loop = self._lifetime, asyncio.get_running_loop()
        # Looked at here too: a call for nothing would be a part of what a poll costs.
        if lifetime.loop is not loop or lifetime.process != _process or lifetime.closed:
            lifetime.enter()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a Client can only be used inside an asyncio task")
        self._task = task
        self._cancelling = task.cancelling()
        lifetime.under_way.add(self)
        if self.deadline < lifetime.expires_at:
            lifetime.schedule_expiry(self.deadline)

    def reschedule(self, deadline: float) -> None:
        """Let it end by another moment. Once it is over, that makes no difference."""
        self.deadline = deadline
        if deadline < self._lifetime.expires_at:
            self._lifetime.schedule_expiry(deadline)

    def close(self) -> None:
        """End it now, because the client closes."""
        if self._task is asyncio.current_task():
            # It closes the client itself. A cancellation would stay with the task for good,
            # should it not await anything more in here.
            if self._grace is not None:
                self._grace.cancel()
            self._grace = asyncio.get_running_loop().call_soon(self._cancel, ClientClosedError)
        else:
            self._cancel(ClientClosedError)

    def expire(self, loop: asyncio.AbstractEventLoop, turns: int, latest: float) -> None:
        """End it after so many turns of the loop, because its time is over.

        After `latest`, in loop time, only a few turns are waited for.
        """
        self.deadline = math.inf
        few = turns <= _GRACE_TURNS - _FEWEST_GRACE_TURNS and loop.time() > latest
        if turns and not few:
            self._grace = loop.call_soon(self.expire, loop, turns - 1, latest)
        else:
            self._cancel(TimeoutError)

    def _cancel(self, end: type[TimeoutError | ClientClosedError]) -> None:
        if self._end is None:
            self._end = end
            self._task.cancel()

    @property
    def is_over(self) -> bool:
        """Return whether its moment has come: then no other one makes a difference."""
        return self._grace is not None or self._end is not None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lifetime.under_way.discard(self)
        if self._grace is not None:
            self._grace.cancel()
        if self._end is None:
            return
        # As in `asyncio.timeout`: the cancellation is ours to turn into an error only if
        # nobody else has asked for one too.
        if self._task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise self._end from None
