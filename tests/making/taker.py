"""A service that takes submits, and what can go wrong at each point of one.

It makes a task as soon as it has read a submit whole, as a service does that is about to
break down: whatever follows, the task is there. Only a refusal makes none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aitoearn_async import Client
from tests.support.raw_server import FIN, KEY, RST, STALL, End, Line, Part, envelope, http

ID = "I" * 24
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Plan:
    """What happens to one connection.

    Args:
        point: `accept`: at once. `head`: after the head. `body`: after so many bytes of the
            body, or all but one. `whole`: after all of it, with a task made. `no`: after all
            of it, with none made.
        parts: What is sent then. 24 times I stands for the task's id.
        read: How many bytes of the body, at the point `body`.
    """

    point: str
    parts: tuple[Part, ...] = ()
    read: int = 0


def receipt(status: int = 200) -> bytes:
    """A good answer; the id is put in when it is sent."""
    return http(envelope({"id": ID, "logId": ID, "status": "x"}), status)


TAKEN = Plan("whole", (receipt(),))


@dataclass(eq=False, repr=False)
class Taker:
    """Listens on 127.0.0.1 while its block lasts; a plan a connection, then all goes well."""

    plans: Iterable[Plan] = ()
    created: list[str] = field(default_factory=list)
    wholes: int = 0
    """Submits that were read whole."""
    connections: int = 0
    bodies: list[bytes] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    async def __aenter__(self) -> Taker:
        self._plans = iter(self.plans)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> Client:
        return Client(**{"api_key": KEY, "base_url": self.url, **options})

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(Line(reader, writer, self.connections)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, line: Line) -> None:
        plan = next(self._plans, TAKEN)
        self.connections += 1
        try:
            parts = await self._read(plan, line)
            if parts is not None:
                await line.perform([part for part in parts if part is not STALL])
                if STALL in parts:
                    await asyncio.get_running_loop().create_future()
        finally:
            line.writer.transport.close()

    async def _read(self, plan: Plan, line: Line) -> list[Part] | None:
        if plan.point == "accept":
            return list(plan.parts)
        head = await line.request()
        if head is None:
            return None
        self.heads.append(head)
        if plan.point == "head":
            return list(plan.parts)
        found = _LENGTH.search(head)
        assert found, head
        length = int(found[1])
        try:
            if plan.point == "body":
                await line.reader.readexactly(min(plan.read, length - 1))
                return list(plan.parts)
            self.bodies.append(await line.reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.wholes += 1
        if plan.point == "whole":
            self.created.append(f"{len(self.created):024x}")
        id = self.created[-1] if self.created else "0" * 24
        return [
            part.replace(ID.encode(), id.encode()) if isinstance(part, bytes) else part
            for part in plan.parts
        ]


ENDS: tuple[End, ...] = (FIN, RST, STALL)
