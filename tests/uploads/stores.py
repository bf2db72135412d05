"""A service that signs uploads, and a store on another origin whose every PUT is a script.

Both read whole requests, bodies included, and keep of a body its length and its digest alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aitoearn_async import Client
from tests.support.raw_server import STALL, Line, LineServer, Part, envelope, http

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
SECRET = "X-Amz-Signature=5ec2e7"


@dataclass(frozen=True)
class Put:
    """What happens to one PUT: how much of its body is read, and what is sent then."""

    parts: tuple[Part, ...]
    read: int | None = None
    """Bytes of the body; None for all of it."""
    pause: float = 0.0
    """Seconds before each piece is read."""


TAKEN = Put((http(),))


def answers(status: int, **headers: str) -> Put:
    """A PUT that is answered so, and kept only if that means yes."""
    return Put((http(b"<Error/>", status, headers),))


class Server(LineServer):
    """Reads request after request, and has each answered."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[bytes] = []

    async def serve(self, line: Line) -> None:
        while (head := await line.request()) is not None:
            self.heads.append(head)
            if not await self.answer(head, line):
                break

    @abstractmethod
    async def answer(self, head: bytes, line: Line) -> bool:
        """Answer a request, and say whether the connection takes another one."""


def length_of(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


@dataclass
class Kept:
    """A file that a store has taken."""

    path: str
    size: int
    digest: str
    media_type: str


class Store(Server):
    """A store: a plan a PUT, then all goes well."""

    def __init__(self, *plans: Put) -> None:
        super().__init__()
        self._plans = iter(plans)
        self.kept: list[Kept] = []
        self.at_once = self.most_at_once = 0

    async def answer(self, head: bytes, line: Line) -> bool:
        plan, length = next(self._plans, TAKEN), length_of(head)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            return await self._take(plan, head, length, line)
        finally:
            self.at_once -= 1

    async def _take(self, plan: Put, head: bytes, length: int, line: Line) -> bool:
        left = length if plan.read is None else min(plan.read, length - 1)
        digest = hashlib.sha256()
        is_whole = plan.read is None
        while left:
            if plan.pause:
                await asyncio.sleep(plan.pause)
            piece = await line.reader.read(min(left, 65536))
            if not piece:
                return False
            digest.update(piece)
            left -= len(piece)
        if is_whole and any(isinstance(p, bytes) and b" 200 " in p[:16] for p in plan.parts):
            path = head.split(b" ")[1].decode()
            found = re.search(rb"content-type: ([^\r]+)", head, re.IGNORECASE)
            kind = found[1].decode() if found else ""
            self.kept.append(Kept(path, length, digest.hexdigest(), kind))
        if STALL in plan.parts:
            await asyncio.get_running_loop().create_future()
        return await line.perform(plan.parts)


@dataclass(eq=False)
class Service(Server):
    """Signs for a store, confirms what is there, and makes a task of each submit."""

    store: Store
    refusals: Mapping[str, Iterable[int]] = field(default_factory=dict)
    """Part of a path -> codes that its first requests are refused with."""
    confirmation: Mapping[str, Any] | None = None
    """What is said of each file that is confirmed, in place of its address."""
    signed_address: str | None = None
    """The address that is told when a file is signed for, in place of the right one."""

    def __post_init__(self) -> None:
        super().__init__()
        self._left = {name: list(codes) for name, codes in self.refusals.items()}
        self.signed: list[dict[str, Any]] = []
        self.submits: list[dict[str, Any]] = []
        self.confirmed: list[str] = []

    def client(self, **options: Any) -> Client:
        return super().client(**{"private_media": True, **options})

    async def answer(self, head: bytes, line: Line) -> bool:
        path = head.split(b" ")[1].decode()
        body = await line.reader.readexactly(length_of(head))
        for name, codes in self._left.items():
            if name in path and codes:
                return await line.perform([http(envelope(code=codes.pop(0)))])
        return await line.perform([http(self._said(path, body))])

    def _said(self, path: str, body: bytes) -> bytes:
        if path == "/api/assets/uploadSign":
            self.signed.append(json.loads(body))
            id = f"{len(self.signed):024x}"
            return envelope(
                {
                    "id": id,
                    "path": f"temp/{id}",
                    "url": self.signed_address or f"{self.store.url}/{id}",
                    "uploadUrl": f"{self.store.url}/{id}?{SECRET}",
                }
            )
        if path.endswith("/confirm"):
            id = path.split("/")[-2]
            if not any(f"/{id}" in kept.path for kept in self.store.kept):
                return envelope(code=500)
            self.confirmed.append(id)
            if self.confirmation is not None:
                return envelope(self.confirmation)
            return envelope({"id": id, "url": f"{self.store.url}/{id}"})
        if path.startswith("/api/ai/models"):
            return b'{"code":0,"message":"","data":[]}'
        self.submits.append(json.loads(body))
        id = f"{len(self.submits):024x}"
        return envelope({"id": id, "logId": id, "status": "x"})
