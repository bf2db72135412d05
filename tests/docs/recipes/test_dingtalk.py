"""The DingTalk bot of the documentation, on aiohttp's server, against a platform of ours."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aitoearn_async.emulator import Emulator

from .conftest import Recipe

SECRET = "SEC-a-secret"


class DingTalk:
    """Sends messages to the bot, and takes what it answers."""

    def __init__(self, bot: str, session: aiohttp.ClientSession) -> None:
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.refused = 0
        self.address = ""
        self._bot = bot
        self._session = session

    async def write(self, text: str, secret: str = SECRET, age: float = 0) -> int:
        stamp = str(int((time.time() - age) * 1000))
        digest = hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256)
        headers = {"timestamp": stamp, "sign": base64.b64encode(digest).decode()}
        data = {"text": {"content": text}, "sessionWebhook": self.address}
        async with self._session.post(f"{self._bot}/message", json=data, headers=headers) as answer:
            return answer.status

    async def next(self) -> str:
        return await asyncio.wait_for(self.said.get(), 3600)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if self.refused:
            self.refused -= 1
            return web.json_response({"errcode": 130101, "errmsg": "send too fast"})
        message: dict[str, Any] = await request.json()
        kind = message["msgtype"]
        self.said.put_nowait(message[kind]["content" if kind == "text" else "text"])
        return web.json_response({"errcode": 0, "errmsg": "ok"})


@pytest.fixture
async def platform(
    service: Emulator, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DingTalk]:
    monkeypatch.setenv("DINGTALK_SECRET", SECRET)
    recipe("how-to/bot.md", "follower")
    runner = web.AppRunner(recipe("how-to/bot-china.md", "dingtalk_bot").make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bot = "http://{}:{}".format(*runner.addresses[0][:2])
    monkeypatch.setenv("PUBLIC_URL", bot)
    async with aiohttp.ClientSession() as session:
        platform = DingTalk(bot, session)
        its = web.ServerRunner(web.Server(platform.answer))
        await its.setup()
        await web.TCPSite(its, "127.0.0.1", 0).start()
        platform.address = "http://{}:{}".format(*its.addresses[0][:2])
        yield platform
        await runner.cleanup()
        await its.cleanup()


async def test_a_picture_is_delivered(service: Emulator, platform: DingTalk) -> None:
    service.script("image", ("generating", 40.0), "success")
    assert await platform.write(" a cat ") == 200
    said = [await platform.next() for _ in range(3)]
    assert (said[0], said[1][:4], said[2]) == ("One moment.", "![](", "Done.")
    async with aiohttp.request("GET", said[1][4:-1]) as picture:
        assert (await picture.read()).startswith(b"\x89PNG")


async def test_the_file_of_orders_is_not_shown(platform: DingTalk) -> None:
    async with aiohttp.request("GET", f"{platform._bot}/files/orders.sqlite") as answer:
        assert answer.status == 404


async def test_a_platform_that_refuses_is_asked_again(
    service: Emulator, platform: DingTalk
) -> None:
    service.script("image", ("generating", 5.0), "success")
    await platform.write("a cat")
    await platform.next()
    platform.refused = 2
    assert [(await platform.next())[:4] for _ in range(2)] == ["![](", "Done"]


@pytest.mark.parametrize(("secret", "age"), [("SEC-another", 0), (SECRET, 4000)])
async def test_what_is_not_signed_is_refused(
    service: Emulator, platform: DingTalk, secret: str, age: float
) -> None:
    assert await platform.write("a cat", secret, age) == 403
    assert service.created == []


async def test_a_prompt_that_cannot_be_used_is_answered(platform: DingTalk) -> None:
    await platform.write("")
    assert "prompt" in await platform.next()
