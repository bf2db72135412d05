"""Objects that are accepted where coroutines are, and hooks that may be coroutine functions.

What they run is not known here.

`asyncio.create_task`, `TaskGroup`, debuggers and tracers ask for more than `await` does.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from types import CodeType, CoroutineType, FrameType, FunctionType, TracebackType
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Ts = TypeVarTuple("Ts")


async def call(hook: Callable[[*Ts], object], *args: *Ts) -> None:
    """Call a hook of the caller's, and await what it returns where that can be awaited."""
    result = hook(*args)
    if inspect.isawaitable(result):
        await result


def not_an_end(error: BaseException) -> BaseException:
    """Return an error of the caller's, as an iteration can raise it.

    A `StopAsyncIteration` out of a strategy, a source, a hook or a function that gives keys would
    end the iteration as if there were nothing more to come. Python itself does the same for a
    generator.
    """
    if not isinstance(error, StopAsyncIteration):
        return error
    wrapped = RuntimeError(
        "a strategy, a source, a hook or the function given as api_key= raised StopAsyncIteration"
    )
    wrapped.__cause__ = error
    return wrapped


class Bound:
    """An object of one client and one event loop."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} is bound to its client and its event loop, and is not "
            "pickled nor copied: pass refs on, or outcomes"
        )


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


def _mark(function: FunctionType) -> FunctionType:
    """Mark a function for `inspect` of Python 3.11, which looks at the flags of its code.

    CPython 3.11 runs it as before: there, what makes a coroutine is an instruction of the code.
    """
    code = function.__code__
    function.__code__ = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)
    return function


def coroutine_function(function: F) -> F:
    """Mark a function whose result is awaited, for what looks before it calls.

    Background tasks of web frameworks and schedulers run a function that is not marked on a
    thread, and drop what it returns.
    """
    mark: Any = getattr(inspect, "markcoroutinefunction", _mark)
    return cast("F", mark(function))
