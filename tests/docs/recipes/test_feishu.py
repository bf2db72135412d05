"""The Feishu bot of the documentation, on aiohttp's server, against a platform of ours."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aitoearn_async.emulator import Emulator, Fault

from .conftest import Recipe

KEY = "an-encrypt-key"


class Feishu:
    """Sends events to the bot, and takes what it answers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.tokens = 0
        self.refused = 0
        self.bot = ""
        self._images: dict[str, bytes] = {}
        self._events = 0
        self._session = session

    async def write(self, text: str, **more: Any) -> int:
        self._events += 1
        content = json.dumps({"text": text})
        message = {"chat_id": "oc_1", "message_type": "text", "content": content}
        header = {"event_id": more.pop("id", f"event-{self._events}")}
        event = {"schema": "2.0", "header": header, "event": {"message": message}}
        return (await self.post(event, **more))[0]

    async def post(self, event: Any, key: str = KEY, signed: bool = True) -> tuple[int, str]:
        body = json.dumps({"encrypt": encrypted(json.dumps(event).encode(), key)}).encode()
        headers = {"X-Lark-Request-Timestamp": "1767225600", "X-Lark-Request-Nonce": "12"}
        if signed:
            digest = hashlib.sha256("".join([*headers.values(), key]).encode() + body)
            headers["X-Lark-Signature"] = digest.hexdigest()
        url = f"{self.bot}/event"
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def next(self) -> str:
        return await asyncio.wait_for(self.said.get(), 3600)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        path = request.path.removeprefix("/open-apis/")
        if path.startswith("auth/"):
            self.tokens += 1
            app = await request.json()
            assert app == {"app_id": "cli_1", "app_secret": "a-secret"}
            return _fine(tenant_access_token=f"t-{self.tokens}", expire=7200)
        assert request.headers["Authorization"] == f"Bearer t-{self.tokens}"
        if self.refused:
            self.refused -= 1
            return web.json_response({"code": 230020, "msg": "rate limited"}, status=400)
        if path == "im/v1/images":
            form = await request.post()
            image = form["image"]
            assert isinstance(image, web.FileField)
            self._images["img_1"] = image.file.read()
            return _fine(data={"image_key": "img_1"})
        assert request.path_qs.endswith("im/v1/messages?receive_id_type=chat_id")
        message = await request.json()
        content = json.loads(message["content"])
        if message["msg_type"] == "image":
            assert self._images[content["image_key"]].startswith(b"\x89PNG")
        self.said.put_nowait(content.get("text", "(a picture)"))
        return _fine(data={"message_id": "om_1"})


def _fine(**more: Any) -> web.Response:
    return web.json_response({"code": 0, "msg": "ok", **more})


def encrypted(text: bytes, key: str) -> str:
    start, rest = os.urandom(16), 16 - len(text) % 16
    algorithm = algorithms.AES(hashlib.sha256(key.encode()).digest())
    encryptor = Cipher(algorithm, modes.CBC(start)).encryptor()
    padded = text + bytes([rest]) * rest
    return base64.b64encode(start + encryptor.update(padded) + encryptor.finalize()).decode()


@pytest.fixture
async def platform(
    service: Emulator, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Feishu]:
    monkeypatch.setenv("FEISHU_APP_ID", "cli_1")
    monkeypatch.setenv("FEISHU_APP_SECRET", "a-secret")
    monkeypatch.setenv("FEISHU_ENCRYPT_KEY", KEY)
    recipe("how-to/bot.md", "follower")
    make_app = recipe("how-to/bot-china.md", "feishu_bot").make_app
    async with aiohttp.ClientSession() as session:
        platform = Feishu(session)
        its = web.ServerRunner(web.Server(platform.answer))
        await its.setup()
        await web.TCPSite(its, "127.0.0.1", 0).start()
        monkeypatch.setenv("FEISHU_URL", "http://{}:{}".format(*its.addresses[0][:2]))
        runner = web.AppRunner(make_app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        platform.bot = "http://{}:{}".format(*runner.addresses[0][:2])
        yield platform
        await runner.cleanup()
        await its.cleanup()


async def test_a_picture_is_delivered(service: Emulator, platform: Feishu) -> None:
    service.script("image", ("generating", 40.0), "success")
    assert await platform.write("@_user_1 a cat") == 200
    assert [await platform.next() for _ in range(3)] == ["One moment.", "(a picture)", "Done."]
    (submit,) = [request for request in service.requests if request.route == "submits"]
    assert json.loads(submit.body)["prompt"] == "a cat"
    assert platform.tokens == 1


async def test_an_event_that_comes_again_is_paid_for_once(
    service: Emulator, platform: Feishu
) -> None:
    """The answer does not wait for the submit, and what is sent again all the same is known."""
    service.fault(Fault(delay=10.0))
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert [await platform.write("a cat", id="event-a") for _ in range(3)] == [200, 200, 200]
    assert loop.time() - began < 3
    await platform.next()
    while await platform.next() != "Done.":
        pass
    assert len(service.created) == 1


async def test_a_platform_that_refuses_is_asked_again(service: Emulator, platform: Feishu) -> None:
    service.script("image", ("generating", 5.0), "success")
    await platform.write("a cat")
    await platform.next()
    platform.refused = 2
    assert [await platform.next() for _ in range(2)] == ["(a picture)", "Done."]


async def test_a_platform_that_refuses_from_the_start(service: Emulator, platform: Feishu) -> None:
    """A word that is not said loses no order."""
    service.script("image", "success")
    platform.refused = 1
    await platform.write("a cat")
    assert await platform.next() == "(a picture)"


async def test_what_is_not_signed_is_refused(service: Emulator, platform: Feishu) -> None:
    assert await platform.write("a cat", signed=False) == 403
    assert await platform.write("a cat", key="another-key") == 403
    async with aiohttp.request("POST", f"{platform.bot}/event", data=b'{"a": 1}') as answer:
        assert answer.status == 403
    assert service.created == []


async def test_the_address_is_verified(platform: Feishu) -> None:
    """Feishu asks once whether somebody is there."""
    challenge = {"type": "url_verification", "challenge": "abc", "token": "xyz"}
    status, text = await platform.post(challenge, signed=False)
    assert (status, json.loads(text)) == (200, {"challenge": "abc"})


async def test_other_events_are_passed_over(service: Emulator, platform: Feishu) -> None:
    event = {
        "schema": "2.0",
        "header": {"event_id": "e"},
        "event": {"message": {"message_type": "image"}},
    }
    assert (await platform.post(event))[0] == 200
    assert service.created == []


async def test_a_prompt_that_cannot_be_used_is_answered(platform: Feishu) -> None:
    await platform.write("@_user_1 ")
    assert "prompt" in await platform.next()
