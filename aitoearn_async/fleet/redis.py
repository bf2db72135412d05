"""The ledger in Redis or Valkey: two streams, whose consumers are the members.

What a worker holds is pending for its consumer; a lease is a key with a time to live. Each call
is one script, so it happens as a whole. Redis does not ask who acknowledges an entry, and drops
what is pending for a consumer that is deleted: the scripts ask, and look.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from .errors import FleetError, FleetNotFoundError, FleetUnavailableError, LeaseLostError, shown
from .ledger import Allow, Counts, Decide, Kind, Ledger, Member, Origin, Report, Taken
from .redis_scripts import COMMON, SCRIPTS

T = TypeVar("T")

_OLDEST = (6, 2)
_MOST_SECONDS = 10.0
"""Seconds for one call until the server counts as away."""
_MOST_DECISIONS = 50
"""The number of times a beat decides anew because another's came between."""
_LOST = re.compile(r"\bLEASE (\d+)")
"""The error of a script whose member has no lease any more."""

_Row = tuple[str, float, int]


class RedisLedger(Ledger):
    """A ledger in keys that begin with `aitoearn:{NAME}:`.

    Args:
        url: The server: `redis://host:6379/0`, or what else redis-py takes.
        name: The name of the fleet: several share a server.
        lease: Seconds from a beat until a member counts as dead.

    Raises:
        ValueError: redis-py cannot read the address.
    """

    def __init__(self, url: str, name: str = "fleet", lease: float = 15.0) -> None:
        self.lease = lease
        self._url = url
        self._name = name
        self._prefix = f"aitoearn:{{{name}}}:"
        try:
            self._redis: Redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
            pool = self._redis.connection_pool
            # Repeating is the caller's: redis-py would raise in between, and reads twice. A
            # timeout of its own would swallow a cancellation on Python 3.11.
            pool.connection_kwargs |= {
                "retry": Retry(NoBackoff(), 0),
                "socket_connect_timeout": _MOST_SECONDS / 2,
                "socket_timeout": None,
                "health_check_interval": 0,
                "decode_responses": False,
            }
            # Else an unknown option of the address would be refused only when it connects.
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError, exceptions.RedisError) as error:
            # What stands before an `@` may be taken for a port, and told.
            reason = "it cannot be read" if "@" in url else str(error)
            raise ValueError(f"the fleet's url {shown(url)!r:.80}: {reason}") from None
        self._turn = asyncio.Lock()
        self._closed = True
        self._ready = False
        self._create = True
        self._in_doubt: set[int] = set()  # members whose last take may have been carried out
        self.scripts: dict[str, AsyncScript] = {
            name: self._redis.register_script(COMMON + text) for name, text in SCRIPTS.items()
        }

    async def open(self, *, create: bool = True) -> None:
        self._closed = False
        self._create = create
        self._turn = asyncio.Lock()  # of the loop that runs now
        try:
            await self.run("finished")
        except BaseException:
            await self.close()
            raise
        self._create = True  # what was there and is lost is made anew, so that this goes on

    async def close(self) -> None:
        self._closed = True
        self._ready = False
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self._redis.aclose()

    async def add(self, refs: Sequence[str]) -> int:
        # A script holds up everybody else, so not too many at once.
        return sum([await self.run("add", *refs[at : at + 500]) for at in range(0, len(refs), 500)])

    async def join(self, kind: Kind, name: str) -> int:
        report = msgspec.json.encode(Member(id=0, kind=kind, name=name))
        return int(await self.run("join", int(kind), self._lease_ms, report))

    async def beat(self, member: int, decide: Decide) -> bool:
        for _ in range(_MOST_DECISIONS):
            version, members = await self._members()
            report = decide(members)
            is_idle = await self.run("beat", version, *self._values(member, report))
            if is_idle >= 0:
                return not self.noted(bool(is_idle))
        raise FleetUnavailableError("others beat all the time; this beat could not decide")

    async def renew(self, member: int, report: Report) -> tuple[list[Member], bool]:
        is_idle, flat = await self._call(
            lambda: self._script("renew", *self._values(member, report()))
        )
        return _members_of(flat), not self.noted(bool(is_idle))

    def _values(self, member: int, report: Member) -> tuple[int | bytes, ...]:
        line = msgspec.json.encode(report)
        return member, self._lease_ms, int(report.kind), report.held, line

    async def leave(self, member: int) -> None:
        await self.run("leave", member)

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        # Where in doubt, also a call for none is made: what is late is to find its number.
        is_in_doubt = member in self._in_doubt
        if not is_in_doubt and self.noted(bool(await self.run("is_idle", member, call))):
            return []
        self._in_doubt.add(member)
        _, members = await self._members()
        free = await self.run("free")
        most = max(0, allow(members, free))
        reply = await self.run("take", member, call, most, int(is_in_doubt))
        self._in_doubt.discard(member)
        rows = msgspec.json.decode(reply, type=list[_Row])
        return [Taken(ref, age, Origin(origin)) for ref, age, origin in rows]

    async def held(self, member: int, most: int) -> list[str]:
        return [ref.decode() for ref in await self.run("held", member, most)]

    async def give(self, member: int, refs: Sequence[str]) -> None:
        await self.run("give", member, *refs)

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        flat = [part for outcome in outcomes for part in outcome]
        count, is_idle = await self.run("record", member, *flat)
        self.noted(bool(is_idle))
        return int(count)

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        flat = await self.run("read", member, most, *done)
        return [(ref.decode(), line) for ref, line in zip(flat[::2], flat[1::2], strict=True)]

    async def counts(self) -> Counts:
        tasks, held, outcomes, reading, done, age, members = await self.run("counts")
        return Counts(
            waiting=tasks - held,
            held=held,
            ended=outcomes - reading,
            reading=reading,
            done=done,
            oldest=None if age < 0 else age / 1000,
            members=_members_of(members),
        )

    async def finished(self) -> bool:
        return not await self.run("finished")

    async def forget(self, keep: float, most: int) -> int:
        return int(await self.run("forget", round(keep * 1000), most))

    async def run(self, name: str, *values: str | bytes | float) -> Any:
        """Run a script by its name."""
        return await self._call(lambda: self._script(name, *values))

    def _script(self, name: str, *values: str | bytes | float) -> Awaitable[Any]:
        return self.scripts[name](keys=[self._prefix], args=values)

    @property
    def _lease_ms(self) -> int:
        return round(self.lease * 1000)

    async def _members(self) -> tuple[bytes, list[Member]]:
        version, flat = await self.run("members")
        return version, _members_of(flat)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            if self._closed:
                raise FleetError("the fleet is closed; make a new one")
            try:
                async with asyncio.timeout(_MOST_SECONDS):
                    if not self._ready:
                        await self._prepare()
                    return await call()
            except (exceptions.RedisError, OSError, TimeoutError) as error:
                if (lost := _LOST.search(str(error))) is not None:
                    raise LeaseLostError(int(lost[1])) from None
                await self._drop()
                raise _translated(error, self._url) from error
            except BaseException:
                await self._drop()  # a reply may still be under way
                raise
            finally:
                if self._closed:  # meanwhile: it may have connected again
                    await self._drop()

    async def _prepare(self) -> None:
        about: dict[str, Any] = await self._redis.info()  # pyright: ignore[reportUnknownMemberType]
        version = str(about.get("redis_version", "0"))
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            raise FleetError(f"Redis {version} is too old for a fleet: 6.2 or newer is needed")
        policy = str(about.get("maxmemory_policy", ""))
        if about.get("maxmemory") and policy.startswith("allkeys"):
            raise FleetError(
                f"{shown(self._url)} drops keys, and with them a fleet's refs, when its memory is "
                f"full: its maxmemory-policy is {policy}; set it to noeviction"
            )
        if not self._create and not await self.scripts["exists"](keys=[self._prefix]):
            raise FleetNotFoundError(f"{shown(self._url)} holds no fleet named {self._name!r}")
        await self.scripts["open"](keys=[self._prefix])
        self._ready = True

    async def _drop(self) -> None:
        self._ready = False
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self._redis.connection_pool.disconnect()


def _members_of(flat: Sequence[bytes]) -> list[Member]:
    members: list[Member] = []
    for number, held, report in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
        member = msgspec.json.decode(report, type=Member)
        member.id, member.held = int(number), int(held)
        members.append(member)
    return sorted(members, key=lambda member: member.id)


_PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,  # and a replica without its master
    exceptions.TryAgainError,
    OSError,
    TimeoutError,
)
_HOPELESS = (exceptions.AuthenticationError, exceptions.AuthorizationError)
_PASSING_WORDS = (
    *("MISCONF", "LOADING", "OOM", "NOGROUP", "READONLY", "MASTERDOWN", "CLUSTERDOWN"),
    *("NOREPLICAS", "BUSY"),
)
"""Errors for which redis-py has no class, or has none where a script of Redis 6 says them."""


def _translated(error: Exception, url: str) -> FleetError:
    text = " ".join(str(error).split()) or f"no answer within {_MOST_SECONDS:g} s"
    if isinstance(error, exceptions.MovedError):
        text = f"it is a node of a cluster; {text.split()[-1]} has this fleet's keys"
    passing = isinstance(error, _PASSING) and not isinstance(error, _HOPELESS)
    if passing or any(word in text for word in _PASSING_WORDS):
        return FleetUnavailableError(f"{shown(url)} cannot be used now: {text}")
    return FleetError(f"{shown(url)} cannot be used: {text}")
