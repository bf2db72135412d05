"""Functions whose result may be awaited, and objects that stay where they were made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

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
