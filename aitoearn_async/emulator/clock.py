"""Virtual time: an event loop on which waiting costs nothing.

Time stands still while code runs, and is moved in one place only: where the loop would wait.
Nothing in here knows what is being waited for, and nothing patches `time` or `asyncio`: the
loop's own clock is the only one that jumps.

The loop hands its selector the seconds to the next timer. First come the bytes: sockets that
are readable now are served at no cost in time. Bytes between two sockets of one process are
readable the moment they are sent, save on a busy machine, hence a short real wait (`settle`)
wherever a socket is open. Only if that stays silent does time jump to the timer. Work that the
selector cannot see (threads of the loop's executors, child processes) is waited for in real time.

No decision depends on `time`, which others freeze, and nothing here calls `time.sleep()`, which
others forbid: the kernel does the waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import selectors
import socket
import time
import weakref
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SELECT_LIMIT = 1024
"""`select` takes files below this number."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it.

    An hour of polling takes as long as its requests, and always the same number of seconds
    on `loop.time()`. Sockets, `asyncio.to_thread`, child processes and signals work as on any
    loop:

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())

    `loop.time()` has nothing to do with `time.monotonic()`, so measure with `loop.time()`. Code
    that compares other clocks, or spins on `sleep(0)` until a time comes, waits for ever. A
    peer in another process, and a thread that is not the loop's, such as anyio's, in which
    FastAPI runs a plain `def`, may answer later than `settle`: give them `real_time()`.

    Args:
        settle: Real seconds for which it listens, before each jump, for bytes still on their
            way. Not spent while no connection is open.
        start: The first value of `loop.time()`, in seconds. The same on every machine, since a
            sum of floats that is rounded up on one may be rounded down on another. A real loop
            starts at the age of the machine: a test that has to do with that may want a large
            number with many decimals.

    Raises:
        ValueError: `settle` is negative, or one of the two is not a number.
    """

    def __init__(self, settle: float = 0.0005, start: float = 0.0) -> None:
        self._jumper = _JumpingSelector(settle, start)
        super().__init__(self._jumper)
        problem = _problem_with(settle, start)
        if problem:
            self.close()  # a loop half made warns when it is collected
            raise ValueError(problem)
        self._jumper.silent.update(key.fd for key in self._jumper.get_map().values())

    def time(self) -> float:
        """Seconds on this loop's clock."""
        return self._jumper.now

    @property
    def _clock_resolution(self) -> float:
        # asyncio adds it to the time before it asks whether a timer is due. The one of the real
        # clock, 1 ns, is lost in floats of half a year and more: no timer would ever be due.
        return math.ulp(self.time())

    @_clock_resolution.setter
    def _clock_resolution(self, resolution: float) -> None:
        """Ignore the resolution that asyncio sets."""

    @contextlib.contextmanager
    def real_time(self) -> Generator[None]:
        """Within this block nothing jumps: a wait takes what it takes.

        Blocks nest and may overlap between tasks.
        """
        self._jumper.holds += 1
        try:
            yield
        finally:
            self._jumper.holds -= 1

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        hold = self.real_time()
        hold.__enter__()
        future.add_done_callback(lambda _: hold.__exit__(None, None, None))
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        # Since Python 3.12 this has a timeout, which must not pass while threads are joined.
        with self.real_time():
            await super().shutdown_default_executor(*args, **kwargs)

    async def subprocess_exec(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.SubprocessTransport, Any]:
        return await self._started(super().subprocess_exec(*args, **kwargs))

    async def subprocess_shell(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.SubprocessTransport, Any]:
        return await self._started(super().subprocess_shell(*args, **kwargs))

    async def _started(
        self, starting: Awaitable[tuple[asyncio.SubprocessTransport, Any]]
    ) -> tuple[asyncio.SubprocessTransport, Any]:
        with self.real_time():
            transport, protocol = await starting
        self._jumper.children.add(transport)
        return transport, protocol


class _JumpingSelector(selectors.DefaultSelector):
    """The clock. It lives in the selector, in which a loop spends its time."""

    def __init__(self, settle: float, start: float) -> None:
        super().__init__()
        self.now = start
        self.settle = settle
        self.holds = 0
        self.children: weakref.WeakSet[asyncio.SubprocessTransport] = weakref.WeakSet()
        # Files on which nothing of this process can be under way: the pipe that wakes the
        # loop, and listening sockets, since a client of this process has a file of its own.
        self.silent: set[int] = set()

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        if _is_listening(key.fd):
            self.silent.add(key.fd)
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self.silent.discard(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._must_wait():
            return self._wait(timeout)
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0) or self._late()
        if not ready:
            self.now += timeout
        return ready

    def _must_wait(self) -> bool:
        if self.holds > 0:
            return True
        # The length comes first: this is asked all the time, and a loop over nothing is slow.
        return len(self.children) > 0 and any(c.get_returncode() is None for c in self.children)

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        ready = super().select(timeout)
        waited = max(time.monotonic() - began, 0.0)
        if timeout is None:
            self.now += waited
        elif ready:
            self.now += min(waited, max(timeout, 0.0))
        else:
            # All of the wait is over, whatever a frozen clock says. Selectors round up; this
            # clock does not, or a timer would see a time after its own.
            self.now += max(timeout, 0.0)
        return ready

    def _late(self) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.settle or len(self.get_map()) <= len(self.silent):
            return []
        self._listen(self.settle)
        return super().select(0)

    def _listen(self, seconds: float) -> None:
        """Wait until a socket is ready, or for so many seconds.

        epoll counts in whole milliseconds: more than all else a jump costs. But it is a file
        itself, and `select` counts in microseconds.
        """
        fileno = getattr(self, "fileno", None)
        if fileno is None or fileno() >= _SELECT_LIMIT:
            super().select(seconds)
        else:
            select.select([fileno()], [], [], seconds)


def _problem_with(settle: float, start: float) -> str | None:
    if not 0 <= settle < math.inf:
        return f"settle is a number of seconds, 0 or more, not {settle!r}"
    if not math.isfinite(start):
        return f"start is a number of seconds, not {start!r}"
    return None


def _is_listening(fd: int) -> bool:
    try:
        peek = socket.socket(fileno=fd)
    except OSError:
        return False
    try:
        return peek.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
    except OSError:
        return False
    finally:
        peek.detach()
