"""Blocking calls, off the event loop. What is called is not known here.

The threads are our own: those of the loop may all be taken, for as long as the caller likes.
And they are daemons: a disk or a name server that stalls holds up neither the end of a call
nor that of the program.
"""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

GRACE_SECONDS = 0.3
"""Seconds that a cancellation waits for a thread which is under way."""
_CLEANUP_SECONDS = 5.0
"""Seconds that the end of a call waits for its cleanup, which a disk that stalls may hold."""

_IDLE_SECONDS = 2.0
"""Seconds that a thread waits for something to do."""


class Threads:
    """A few threads, `most` at once, made when there is something to do."""

    def __init__(self, most: int, name: str = "aitoearn-async files") -> None:
        self._most = most
        self._name = name
        self._executor: _Daemons | None = None
        self._process = 0

    def calls(self) -> Calls:
        """Return a series of calls, each of which waits for the one before it."""
        return Calls(self)

    def start(self, call: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call it in one of the threads."""
        if self._executor is None or self._process != os.getpid():  # a fork has no threads
            self._executor, self._process = _Daemons(self._most, self._name), os.getpid()
        return asyncio.get_running_loop().run_in_executor(self._executor, call, *args)

    def leave(self) -> None:
        """End the threads. New ones start when they are needed."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


class Calls:
    """Calls in threads, one after the other.

    A cancellation waits `GRACE_SECONDS` for the one that is under way; after that the thread is
    left to itself, and the only call that may follow is `end`.

    Attributes:
        is_given_up: Whether nobody waits any more for the one that is under way.
    """

    def __init__(self, threads: Threads) -> None:
        self.is_given_up: bool = False
        self._threads = threads
        self._lock = threading.Lock()
        self._is_busy = False
        self._cleanup: Callable[[], object] | None = None

    async def call(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call it, and wait for what it returns or raises."""
        self._is_busy = True
        try:
            done = self._threads.start(self._run, call, *args)
        except OSError:
            self._is_busy = False
            raise
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            await self._wait(done)
            done.add_done_callback(_look_at)
            raise
        return done.result()

    async def _wait(self, done: asyncio.Future[Any]) -> None:
        """Give the thread a moment more, even if others cancel meanwhile."""
        waiting = asyncio.ensure_future(asyncio.wait([done], timeout=GRACE_SECONDS))
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                continue

    def _run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        try:
            return call(*args)
        finally:
            with self._lock:
                self._is_busy = False
                cleanup = self._cleanup
            if cleanup is not None:
                cleanup()

    async def end(self, cleanup: Callable[[], object]) -> None:
        """Clean up: now, or in the thread that is under way when that is done."""
        with self._lock:
            if self._is_busy:
                self._cleanup, self.is_given_up = cleanup, True
                return
        try:
            done = self._threads.start(cleanup)
        except OSError:  # no thread is to be had
            cleanup()
            return
        try:
            await asyncio.wait([done], timeout=_CLEANUP_SECONDS)
        except asyncio.CancelledError:
            await self._wait(done)
            raise
        finally:
            done.add_done_callback(_look_at)


def _look_at(done: asyncio.Future[Any]) -> None:
    """Retrieve the result, or asyncio would warn that nobody did."""
    if not done.cancelled():
        done.exception()


class _Daemons(Executor):
    """Threads that do not hold up the end of the program, as those of the standard library do.

    They end when they have had nothing to do for a while.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        # No `SimpleQueue`: of two that wait for the same job, the one that gets none may wait in
        # there for ever, its timeout notwithstanding (CPython 3.11).
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._count = 0
        self._unfinished = 0
        self._number = 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call it in a thread.

        Raises:
            OSError: There is no thread, and none is to be had (`EAGAIN`).
        """
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except StopIteration as exc:
                error = RuntimeError("what was called in a thread raised StopIteration")
                error.__cause__ = exc  # a future of asyncio takes none, and would never be done
                future.set_exception(error)
            except BaseException as exc:
                future.set_exception(exc)

        with self._lock:
            if self._count < min(self._unfinished + 1, self._most):
                self._begin()
            self._unfinished += 1
            self._jobs.put(job)
        return future

    def _begin(self) -> None:
        self._number += 1
        name = f"{self._name} {self._number}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError as exc:
            if self._count == 0:
                raise OSError(errno.EAGAIN, str(exc)) from None
        else:
            self._count += 1

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._count > self._unfinished:
                        self._count -= 1
                        return
                continue
            if job is None:
                self._jobs.put(None)  # for the next thread
                return
            job()
            del job  # what it held is not to live until the next one
            with self._lock:
                self._unfinished -= 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._jobs.put(None)
