"""Discord's HTTP API on this machine: it takes messages, and refuses them when it is told to."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from typing import Any

from aiohttp import web

TOKEN = "a-token"
USER: dict[str, Any] = {"id": "7", "username": "cat", "discriminator": "0", "avatar": None}
SELF = USER | {"id": "8", "bot": True}
ABOUT: dict[str, Any] = {"id": "8", "name": "cat", "description": "", "icon": None, "owner": USER}
ABOUT |= {"bot_public": True, "bot_require_code_grant": False, "verify_key": ""}


def message_data(id: str, author: dict[str, Any], content: str) -> dict[str, Any]:
    names = ["attachments", "embeds", "mentions", "mention_roles"]
    lists: dict[str, Any] = {name: [] for name in names}
    flags = {"pinned": False, "mention_everyone": False, "tts": False, "type": 0}
    when = {"timestamp": "2026-11-25T10:00:00+00:00", "edited_timestamp": None}
    message = {"id": id, "channel_id": "5", "author": author, "content": content}
    return message | lists | flags | when


class Discord:
    """Takes note of what is sent: texts, and the names of files."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[str] = asyncio.Queue()
        self.url = ""
        self._refusals: defaultdict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        self._ids = itertools.count(100)
        self._runner = web.ServerRunner(web.Server(self._answer))

    async def __aenter__(self) -> Discord:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def refuse(self, what: str, status: int, code: int, times: int = 1) -> None:
        """Answer the next edits, texts or files with an error."""
        self._refusals[what] += [
            (status, {"code": code, "message": "no", "retry_after": 3})
        ] * times

    async def next(self) -> str:
        return await asyncio.wait_for(self.sent.get(), 3600)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        assert request.headers["Authorization"] == f"Bot {TOKEN}"
        if request.method == "GET":
            return as_json(SELF if request.path.endswith("/users/@me") else ABOUT)
        if request.content_type == "application/json":
            kind, text = "edit", (await request.json())["content"]
            kind = kind if request.method == "PATCH" else "text"
        else:
            kind = "file"
            form = await request.post()
            text = next(each.filename for each in form.values() if isinstance(each, web.FileField))
        if self._refusals[kind]:
            status, error = self._refusals[kind].pop(0)
            return as_json(error, status)
        self.sent.put_nowait(text)
        return as_json(message_data(str(next(self._ids)), SELF, text))


def as_json(data: object, status: int = 200) -> web.Response:
    """JSON as discord.py knows it: without a charset."""
    headers = {"Retry-After": "3", "Via": "1.1 proxy"} if status == 429 else {}
    body = json.dumps(data).encode()
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
