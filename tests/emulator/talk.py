"""Asking the emulator without the client under test: by aiohttp, and by hand."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any, NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from aitoearn_async import AnyRef
from aitoearn_async.emulator import Emulator

IMAGE = "/api/ai/image/task/"
VIDEO = "/api/ai/video/generations/"
UNKNOWN = "65ffffffffffffffffffffff"
PATHS = {"image": IMAGE, "video": VIDEO}


class Reply(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    @property
    def data(self) -> Any:
        return self.json["data"]


async def ask(service: Emulator, what: AnyRef | str, method: str = "GET", **headers: str) -> Reply:
    path = what if isinstance(what, str) else PATHS[what.kind] + what.id
    return await send(service, method, path, None, headers)


async def post(service: Emulator, path: str, body: bytes, **headers: str) -> Reply:
    return await send(service, "POST", path, body, {"Content-Type": "application/json", **headers})


async def send(
    service: Emulator,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    keys: list[str] | None = None,
) -> Reply:
    sent = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    if "X-Api-Key" not in sent:
        for key in [service.api_key] if keys is None else keys:
            sent.add("X-Api-Key", key)
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method,
            URL(service.url + path, encoded=True),
            headers=sent,
            data=None if body is None else io.BytesIO(body),
            allow_redirects=False,
        ) as got,
    ):
        return Reply(got.status, got.headers, await got.read())


async def talk(
    service: Emulator, ref: AnyRef, method: str = "GET", *, into: bytearray | None = None
) -> bytes:
    """One request by hand: all the bytes that come back until the connection ends."""
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    got = bytearray() if into is None else into
    try:
        lines = [f"{method} {PATHS[ref.kind]}{ref.id} HTTP/1.1", "Host: here"]
        lines += [f"X-Api-Key: {service.api_key}", "", ""]
        writer.write("\r\n".join(lines).encode())
        while chunk := await reader.read(65_536):
            got += chunk
        return bytes(got)
    finally:
        writer.close()


def now() -> float:
    """Seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()
