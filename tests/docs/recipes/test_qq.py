"""The QQ bot of the documentation, with NoneBot2, and a OneBot client of ours connected to it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aitoearn_async.emulator import Emulator, VirtualTimeLoop
from tests.support.ports import free_port

from .conftest import environment_of, needs, paste

pytestmark = needs("nonebot")

EVENT = {
    "time": 0,
    "self_id": 8,
    "post_type": "message",
    "message_type": "private",
    "sub_type": "friend",
    "message_id": 1,
    "user_id": 7,
    "font": 0,
    "sender": {"user_id": 7, "nickname": "Ann"},
}
CONNECTED = {"time": 0, "self_id": 8, "post_type": "meta_event", "meta_event_type": "lifecycle"}


@pytest.mark.slow
async def test_a_picture_is_delivered(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    paste("how-to/bot.md", tmp_path)
    paste("how-to/bot-china.md", tmp_path)
    port = free_port()
    with loop.real_time():
        async with Emulator() as service, aiohttp.ClientSession() as session:
            service.script("image", "success")
            bot = await asyncio.create_subprocess_exec(
                sys.executable,
                "qq_bot.py",
                cwd=tmp_path,
                env=os.environ | environment_of(service) | {"PORT": str(port)},
                stdout=asyncio.subprocess.DEVNULL,
            )
            try:
                texts = await conversation(session, port, "/画 a cat")
            finally:
                bot.terminate()
                await bot.wait()
    assert texts == ["One moment.", "a picture", "Done."]


async def conversation(session: aiohttp.ClientSession, port: int, text: str) -> list[str]:
    """Write to the bot as a OneBot client does, and take what it says, to the end."""
    texts: list[str] = []
    async with await connected(session, port) as line:
        await line.send_json(CONNECTED | {"sub_type": "connect"})
        message = [{"type": "text", "data": {"text": text}}]
        await line.send_json(EVENT | {"message": message, "raw_message": text})
        while texts[-1:] != ["Done."]:
            call: dict[str, Any] = await line.receive_json(timeout=200)
            assert call["params"]["user_id"] == 7
            message = call["params"]["message"]
            texts += [message] if isinstance(message, str) else map(said, message)
            answer = {"status": "ok", "retcode": 0, "data": {"message_id": 2}}
            await line.send_json(answer | {"echo": call["echo"]})
    return texts


async def connected(session: aiohttp.ClientSession, port: int) -> aiohttp.ClientWebSocketResponse:
    """Knock until the bot's server is there."""
    headers = {"X-Self-ID": "8", "X-Client-Role": "Universal"}
    while True:
        try:
            return await session.ws_connect(f"ws://127.0.0.1:{port}/onebot/v11/ws", headers=headers)
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.1)


def said(part: dict[str, Any]) -> str:
    if part["type"] == "image":
        assert part["data"]["file"].startswith("base64://iVBOR")
        return "a picture"
    return str(part["data"]["text"])
