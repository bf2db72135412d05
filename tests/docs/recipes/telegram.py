"""A Bot API server on this machine, which refuses, limits and breaks down when it is told to."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from typing import Any, NamedTuple

from aiohttp import web

TOKEN = "42:a-token"
CHAT = {"id": 5, "type": "private", "first_name": "Ann"}
BOT = {"id": 42, "is_bot": True, "first_name": "Painter", "username": "painter_bot"}


class Call(NamedTuple):
    """What the bot has sent."""

    method: str
    what: str


class Telegram:
    """Takes note of what is sent, in the order it is taken; refused calls are not in it."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Call] = asyncio.Queue()
        self.url = ""
        self._updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._refusals: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._ids = itertools.count(100)
        self._runner = web.ServerRunner(web.Server(self._answer, handler_cancellation=True))

    async def __aenter__(self) -> Telegram:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def write(self, text: str) -> None:
        """Somebody writes to the bot."""
        number = next(self._ids)
        command = {"type": "bot_command", "offset": 0, "length": len(text.split()[0])}
        sender = {"id": 5, "is_bot": False, "first_name": "Ann"}
        message = {"message_id": number, "date": 0, "chat": CHAT, "from": sender, "text": text}
        self._updates.put_nowait(
            {"update_id": number, "message": message | {"entities": [command]}}
        )

    def refuse(self, method: str, code: int, description: str, times: int = 1, **more: Any) -> None:
        """Answer the next calls of a method with an error."""
        error = {"ok": False, "error_code": code, "description": description, "parameters": more}
        self._refusals[method] += [error] * times

    async def next(self) -> Call:
        return await asyncio.wait_for(self.sent.get(), 7200)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        token, method = request.path.removeprefix("/bot").split("/")
        assert token == TOKEN
        form = await request.post()
        if self._refusals[method]:
            error = self._refusals[method].pop(0)
            return web.json_response(error, status=error["error_code"])
        if method == "getUpdates":
            return web.json_response({"ok": True, "result": await self._next_updates()})
        if method == "getMe":
            return web.json_response({"ok": True, "result": BOT})
        if method == "deleteWebhook":
            return web.json_response({"ok": True, "result": True})
        what = str(form.get("text", ""))
        if method == "sendDocument":
            (file,) = (part for part in form.values() if isinstance(part, web.FileField))
            assert file.file.read(4) == b"\x89PNG" or file.filename.endswith(".mp4")
            what = file.filename
        self.sent.put_nowait(Call(method, what))
        message = {"message_id": next(self._ids), "date": 0, "chat": CHAT, "text": what}
        return web.json_response({"ok": True, "result": message})

    async def _next_updates(self) -> list[dict[str, Any]]:
        try:
            # Longer than it is asked to: an hour without news is not many requests.
            return [await asyncio.wait_for(self._updates.get(), 50)]
        except TimeoutError:
            return []
