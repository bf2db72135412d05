"""The engines that the fleet's tests run on, and what tests do to them behind a ledger's back."""

from __future__ import annotations

import secrets
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from aitoearn_async.fleet.ledger import Ledger
from aitoearn_async.fleet.urls import ledger_at


class Engine(ABC):
    """An engine under test.

    Args:
        url: The address of a database that is this test's alone.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def ledger(self, name: str = "fleet", lease: float = 600.0) -> Ledger:
        """A ledger that has not been opened."""
        return ledger_at(self.url, name, lease)

    @asynccontextmanager
    async def opened(self, name: str = "fleet", lease: float = 600.0) -> AsyncIterator[Ledger]:
        """A ledger that is open in the block."""
        ledger = self.ledger(name, lease)
        await ledger.open()
        try:
            yield ledger
        finally:
            await ledger.close()

    @abstractmethod
    async def end_lease(self, member: int) -> None:
        """Have the lease of a member be over, as if it had not been renewed."""

    @abstractmethod
    async def make_older(self, seconds: float) -> None:
        """Have everything been added, ended and done so much earlier."""


class SqliteEngine(Engine):
    """A file."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "fleet.db"
        super().__init__(f"sqlite:///{self.path}")

    def execute(self, statement: str, *values: object) -> None:
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            with connection:
                connection.execute(statement, values)
        finally:
            connection.close()

    async def end_lease(self, member: int) -> None:
        self.execute("UPDATE aitoearn_fleet_members SET expires = 0 WHERE id = ?", member)

    async def make_older(self, seconds: float) -> None:
        self.execute(
            "UPDATE aitoearn_fleet_refs SET added = added - ?, changed = changed - ?",
            seconds,
            seconds,
        )


class PostgresEngine(Engine):
    """A schema of its own in a server."""

    def __init__(self, server_url: str) -> None:
        self.schema = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {self.schema}")
        super().__init__(f"{server_url}?options=-csearch_path%3D{self.schema}")

    def execute(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement, values)

    async def end_lease(self, member: int) -> None:
        self.execute(
            "UPDATE aitoearn_fleet_members SET expires = '-infinity' WHERE id = %s", member
        )

    async def make_older(self, seconds: float) -> None:
        self.execute(
            "UPDATE aitoearn_fleet_refs SET added = added - %s * interval '1 s', "
            "changed = changed - %s * interval '1 s'",
            *(seconds, seconds),
        )


class RedisEngine(Engine):
    """A database of its own in a server."""

    def __init__(self, server_url: str) -> None:
        with redis.Redis.from_url(server_url) as first:
            number = first.incr("databases in use")
        url = f"{server_url.removesuffix('/0')}/{number}"
        self.redis = redis.Redis.from_url(url)
        super().__init__(url)

    def key(self, name: str) -> str:
        return f"aitoearn:{{fleet}}:{name}"

    async def end_lease(self, member: int) -> None:
        self.redis.delete(self.key(f"lease:{member}"))

    async def make_older(self, seconds: float) -> None:
        """Write the streams anew, with earlier ids: those say when an entry was added."""
        tasks = self._earlier("tasks", "workers", seconds)
        ids = {ref: self.redis.hget(self.key("refs"), ref) for ref in tasks}
        for ref, entry in tasks.items():
            assert ids[ref]
            self.redis.hset(self.key("refs"), ref, entry)
        self._earlier("done", None, seconds)

    def _earlier(self, stream: str, group: str | None, seconds: float) -> dict[bytes, str]:
        key, refs = self.key(stream), {}
        entries: list[Any] = self.redis.xrange(key)  # type: ignore[assignment]
        pending: list[Any] = []
        if group is not None:
            pending = self.redis.xpending_range(key, group, "-", "+", 10_000)
        self.redis.delete(key)
        for entry, fields in entries:
            refs[fields[b"r"]] = _before(entry, seconds)
            self.redis.xadd(key, fields, id=refs[fields[b"r"]])
        if group is not None:
            self.redis.xgroup_create(key, group, "0", mkstream=True)
            last = "0"
            for each in pending:
                last = _before(each["message_id"], seconds)
                self.redis.xclaim(key, group, each["consumer"], 0, [last], force=True, justid=True)
            self.redis.xgroup_setid(key, group, last)
        return refs


def engine_of(kind: str, request: pytest.FixtureRequest) -> Engine:
    """An engine of a kind, with nothing in it."""
    if kind == "sqlite":
        return SqliteEngine(request.getfixturevalue("quick_path"))
    if kind == "postgres":
        return PostgresEngine(request.getfixturevalue("postgres_url"))
    return RedisEngine(request.getfixturevalue("valkey_url"))


def _before(entry: bytes, seconds: float) -> str:
    moment, _, number = entry.decode().partition("-")
    return f"{int(moment) - int(seconds * 1000)}-{number}"
