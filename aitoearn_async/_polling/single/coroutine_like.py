"""An object that is accepted where coroutines are.

`asyncio.create_task`, `TaskGroup`, debuggers and tracers ask for more than `await` does. What the
object runs is not known here.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Generator
from types import CodeType, CoroutineType, FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class CoroutineLike(Coroutine[Any, Any, T]):
    """An object that can be used as a coroutine, and runs one anew for each use."""

    _was_used: bool = True  # of one that no call has made
    _coroutine: CoroutineType[Any, Any, T] | None = None
    _driver: asyncio.Task[Any] | None = None

    @abstractmethod
    async def _run(self) -> T:
        """Do what the object is for."""

    @abstractmethod
    def _already_in_use(self) -> RuntimeError:
        """Return the error of a second use at the same time."""

    def __await__(self) -> Generator[Any, Any, T]:
        self._was_used = True
        return self._run().__await__()

    def send(self, value: Any) -> Any:
        """As in a coroutine; called by asyncio's tasks."""
        return self._drive("send", value)

    def throw(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Any:
        """As in a coroutine; called by asyncio's tasks."""
        return self._drive("throw", typ if val is None else val)

    def close(self) -> None:
        """As in a coroutine; called by asyncio's tasks."""
        self._was_used = True
        if self._coroutine is not None:
            self._coroutine.close()
            self._coroutine = None

    def _drive(self, method: str, value: Any) -> Any:
        self._was_used = True
        driver = asyncio.current_task()
        if self._coroutine is None:
            # The type of what an `async def` gives, which typeshed says less of.
            run: Any = self._run()
            self._coroutine = run
            self._driver = driver
        elif self._driver is not driver:
            raise self._already_in_use()
        try:
            return getattr(self._coroutine, method)(value)
        except BaseException:
            self._coroutine = None  # it has ended; another use is another one
            raise

    # What asyncio, debuggers and tracers ask a coroutine, to show where it stands.

    @property
    def cr_code(self) -> CodeType:
        """As in a coroutine: the code it runs."""
        return type(self)._run.__code__

    @property
    def cr_frame(self) -> FrameType | None:
        """As in a coroutine: where it stands; None unless a task is running it."""
        return None if self._coroutine is None else self._coroutine.cr_frame

    @property
    def cr_await(self) -> Any:
        """As in a coroutine: what it is awaiting."""
        return None if self._coroutine is None else self._coroutine.cr_await

    @property
    def cr_running(self) -> bool:
        """As in a coroutine: whether its code is running at this moment."""
        return self._coroutine is not None and self._coroutine.cr_running

    @property
    def cr_suspended(self) -> bool:
        """As in a coroutine: whether it is waiting for something."""
        return self._coroutine is not None and self._coroutine.cr_suspended
