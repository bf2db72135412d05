"""A service that takes submits, and what can go wrong at each point of one.

It makes a task as soon as it has read a submit whole, as a service does that is about to
break down: whatever follows, the task is there. Only a refusal makes none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.raw_server import FIN, RST, STALL, End, Line, LineServer, Part, envelope, http

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


def receipt(status: int = 200, code: int = 0) -> bytes:
    """A good answer; the id is put in when it is sent."""
    return http(envelope({"id": ID, "logId": ID, "status": "x"}, code), status)


TAKEN = Plan("whole", (receipt(),))


class Taker(LineServer):
    """A plan a connection, then all goes well."""

    def __init__(self, plans: Iterable[Plan] = ()) -> None:
        super().__init__()
        self._plans = iter(plans)
        self.submits = 0
        """Connections that brought, or might have brought, a submit."""
        self.created: list[str] = []
        self.wholes = 0
        """Submits that were read whole."""
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []

    async def serve(self, line: Line) -> None:
        self.submits += 1
        plan = next(self._plans, TAKEN)
        parts = list(plan.parts) if plan.point == "accept" else await self._read(plan, line)
        await line.perform([part for part in parts if part is not STALL])
        if STALL in parts:
            await asyncio.get_running_loop().create_future()

    async def _read(self, plan: Plan, line: Line) -> list[Part]:
        head = await line.request()
        if head is None:
            return []
        if head.startswith(b"GET"):  # for the logs, after an open fate: they are not to be had
            self.submits -= 1
            return [http(envelope(code=404, message="Cannot GET"))]
        self.heads.append(head)
        if plan.point == "head":
            return list(plan.parts)
        found = _LENGTH.search(head)
        assert found, head
        length = int(found[1])
        if plan.point == "body":
            await line.reader.readexactly(min(plan.read, length - 1))
            return list(plan.parts)
        self.bodies.append(await line.reader.readexactly(length))
        self.wholes += 1
        if plan.point == "whole":
            self.created.append(f"{len(self.created):024x}")
        id = self.created[-1] if self.created else "0" * 24
        return [
            part.replace(ID.encode(), id.encode()) if isinstance(part, bytes) else part
            for part in plan.parts
        ]


ENDS: tuple[End, ...] = (FIN, RST, STALL)
