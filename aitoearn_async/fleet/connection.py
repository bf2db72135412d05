"""The base of the connections to engines: turns, an end, and for a server a limit of time."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from .errors import FleetError, FleetUnavailableError

T = TypeVar("T")

_MOST_SECONDS = 10.0
"""Seconds for one call of a server, connecting included, until it counts as away."""
_CLOSED = "the fleet is closed; make a new one"


class Connection:
    """Calls of an engine, one at a time, from when it is opened until it is closed."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._closed = True

    def open(self) -> None:
        """Allow calls, in the loop that runs now."""
        self._turn = asyncio.Lock()
        self._closed = False

    async def in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call when those before it are over: whoever made them knows what came of them.

        Raises:
            FleetError: It was closed before, or meanwhile.
        """
        async with self._turn:
            if self._closed:
                raise FleetError(_CLOSED)
            try:
                return await call()
            except FleetError as error:
                if self._closed:
                    raise FleetError(_CLOSED) from error
                raise


class ServerConnection(Connection, ABC):
    """A connection to a server: made when it is needed, and given up when in doubt.

    Args:
        where: The server's address, as errors may show it.
    """

    _errors: tuple[type[Exception], ...]
    """The errors of the driver."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self._limit: asyncio.Timeout | None = None  # of the call that runs

    async def close(self) -> None:
        """Close it; nothing connects any more, and a call that runs ends."""
        self._closed = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())
        async with self._turn:
            await self._drop()

    def ask(self, call: Callable[[], Awaitable[T]]) -> Coroutine[Any, Any, T]:
        """Make a call of the server, when it is its turn."""
        return self.in_turn(lambda: self._limited(call))

    async def _limited(self, call: Callable[[], Awaitable[T]]) -> T:
        limit = self._limit = asyncio.timeout(_MOST_SECONDS)
        try:
            async with limit:
                return await call()
        except FleetError:
            raise  # the server has answered
        except BaseException as error:
            await self._drop()  # a reply may still be under way
            if limit.expired() and isinstance(error, TimeoutError):
                raise FleetUnavailableError(
                    f"{self.where} did not answer within {_MOST_SECONDS:g} s"
                ) from error
            if isinstance(error, self._errors):
                raise self._translated(error) from error
            raise
        finally:
            self._limit = None

    @abstractmethod
    async def _drop(self) -> None:
        """Close the connection to the server, if there is one."""

    @abstractmethod
    def _translated(self, error: Exception) -> FleetError:
        """Return the fleet's error for one of the driver's."""
