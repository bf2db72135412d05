"""The connection of a ledger to Redis or Valkey, and the scripts that are run in it, by name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Coroutine
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from .connection import ServerConnection
from .errors import FleetError, FleetNotFoundError, LeaseLostError, unusable, without_password
from .redis_scripts import COMMON, SCRIPTS

_OLDEST = (6, 2)
_SECONDS_TO_CONNECT = 5.0
_LOST = re.compile(r"\bLEASE (\d+)")
"""The error of a script whose member has no lease any more."""

_PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,  # and a replica without its master
    exceptions.TryAgainError,
    OSError,
)
_HOPELESS = (exceptions.AuthenticationError, exceptions.AuthorizationError)
_PASSING_WORDS = (
    *("MISCONF", "LOADING", "OOM", "NOGROUP", "READONLY", "MASTERDOWN", "CLUSTERDOWN"),
    *("NOREPLICAS", "BUSY"),
)
"""Errors for which redis-py has no class, or has none where a script of Redis 6 says them."""


class RedisConnection(ServerConnection):
    """One connection.

    Raises:
        ValueError: redis-py cannot read the address.
    """

    _errors = (exceptions.RedisError, OSError)

    def __init__(self, url: str, name: str) -> None:
        super().__init__(without_password(url))
        self._name = name
        self._prefix = f"aitoearn:{{{name}}}:"
        self._ready = False
        try:
            self._redis: Redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
            pool = self._redis.connection_pool
            # Repeating is the caller's: redis-py would raise in between, and reads twice. A
            # timeout of its own would swallow a cancellation on Python 3.11.
            pool.connection_kwargs |= {
                "retry": Retry(NoBackoff(), 0),
                "socket_connect_timeout": _SECONDS_TO_CONNECT,
                "socket_timeout": None,
                "health_check_interval": 0,
                "decode_responses": False,
            }
            # Else an unknown option of the address would be refused only when it connects.
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError, exceptions.RedisError) as error:
            # What stands before an `@` may be taken for a port, and told.
            reason = "it cannot be read" if "@" in url else str(error)
            raise ValueError(f"the fleet's url {self.where!r:.80}: {reason}") from None
        self.scripts: dict[str, AsyncScript] = {
            name: self.script_of(text) for name, text in SCRIPTS.items()
        }

    def script_of(self, text: str) -> AsyncScript:
        """Return a script of this text, in which the common functions are known."""
        return self._redis.register_script(COMMON + text)

    def run(self, name: str, *values: str | bytes | float) -> Coroutine[Any, Any, Any]:
        """Run a script when it is its turn. Return its reply."""
        return self.ask(lambda: self.script(name, *values))

    async def script(self, name: str, *values: str | bytes | float) -> Any:
        """Run a script now."""
        if not self._ready:
            await self.prepare()
        try:
            return await self.scripts[name](keys=[self._prefix], args=values)
        except exceptions.ResponseError as error:
            if (lost := _LOST.search(str(error))) is not None:
                raise LeaseLostError(int(lost[1])) from None
            raise

    async def prepare(self, *, create: bool = True) -> None:
        """Connect, check that the server is fit for a fleet, and make the keys that it lacks.

        Args:
            create: False: raise `FleetNotFoundError` where there are none, and make nothing.
        """
        about: dict[str, Any] = await self._redis.info()  # pyright: ignore[reportUnknownMemberType]
        version = str(about.get("redis_version", "0"))
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            raise FleetError(f"Redis {version} is too old for a fleet: 6.2 or newer is needed")
        policy = str(about.get("maxmemory_policy", ""))
        if about.get("maxmemory") and policy.startswith("allkeys"):
            raise FleetError(
                f"{self.where} drops keys, and with them a fleet's refs, when its memory is "
                f"full: its maxmemory-policy is {policy}; set it to noeviction"
            )
        if not create and not await self.scripts["exists"](keys=[self._prefix]):
            raise FleetNotFoundError(f"{self.where} holds no fleet named {self._name!r}")
        await self.scripts["open"](keys=[self._prefix])
        self._ready = True

    async def _drop(self) -> None:
        self._ready = False
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self._redis.connection_pool.disconnect()

    def _translated(self, error: Exception) -> FleetError:
        text = " ".join(str(error).split())
        if isinstance(error, exceptions.MovedError):
            text = f"it is a node of a cluster; {text.split()[-1]} has this fleet's keys"
        passing = isinstance(error, _PASSING) and not isinstance(error, _HOPELESS)
        passing = passing or any(word in text for word in _PASSING_WORDS)
        return unusable(self.where, text, passing=passing)
