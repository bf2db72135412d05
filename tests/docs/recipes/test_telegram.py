"""The Telegram bot of the documentation, with aiogram, against a Bot API server of ours."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitoearn_async.emulator import Emulator, Fault, VirtualTimeLoop
from tests.support.forks import Forks

from .conftest import Recipe, environment_of, needs, paste
from .telegram import TOKEN, Call, Telegram

pytestmark = [needs("aiogram"), pytest.mark.slow]

PAGE = "how-to/bot.md"


@pytest.fixture
async def telegram(
    service: Emulator, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Telegram]:
    """The platform, with the bot of the page at work on it."""
    async with Telegram() as telegram:
        monkeypatch.setenv("TELEGRAM_API", telegram.url)
        monkeypatch.setenv("TELEGRAM_TOKEN", TOKEN)
        program = recipe(PAGE, "telegram_bot")
        bot = asyncio.create_task(program.main())
        yield telegram
        await program.dispatcher.stop_polling()  # as Ctrl-C does
        await bot


async def said(telegram: Telegram, last: str) -> list[str]:
    """What the bot sends, up to what begins with these words."""
    texts: list[str] = []
    while not (texts and texts[-1].startswith(last)):
        texts.append((await telegram.next()).what)
    return texts


def unfinished(folder: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / "results/orders.sqlite") as rows:
        return rows.execute("SELECT place, ref FROM orders").fetchall()


async def test_a_picture_is_delivered(
    service: Emulator, telegram: Telegram, tmp_path: Path
) -> None:
    service.script("image", ("generating", 40.0), "success")
    telegram.write("/image a cat")
    texts = await said(telegram, "Done.")
    (ref,) = service.created
    assert texts == ["One moment.", "Working on it (generating)", f"image-{ref.id}-1.png", "Done."]
    assert unfinished(tmp_path) == []


async def test_a_video_that_fails_is_told_of(service: Emulator, telegram: Telegram) -> None:
    service.script("video", ("InProgress", 60.0), "FAILURE")
    telegram.write("/video rain")
    assert (await said(telegram, "It failed"))[-1].startswith("It failed: ")


async def test_a_prompt_that_cannot_be_used_is_answered(telegram: Telegram) -> None:
    telegram.write("/image")
    assert "prompt" in (await telegram.next()).what


async def test_a_deleted_message_costs_nothing(service: Emulator, telegram: Telegram) -> None:
    service.script("image", ("generating", 40.0), "success")
    telegram.refuse("editMessageText", 400, "Bad Request: message to edit not found", times=9)
    telegram.write("/image a cat")
    await telegram.next()
    calls = [await telegram.next() for _ in range(3)]
    assert [call.method for call in calls] == ["sendMessage", "sendDocument", "sendMessage"]
    assert calls[-1].what == "Done."


async def test_a_platform_that_wants_fewer_messages_gets_them_later(
    service: Emulator, telegram: Telegram
) -> None:
    telegram.refuse("sendDocument", 429, "Too Many Requests", times=2, retry_after=30)
    service.script("image", "success")
    began = asyncio.get_running_loop().time()
    telegram.write("/image a cat")
    texts = await said(telegram, "Done.")
    assert texts[-2].endswith(".png")
    assert asyncio.get_running_loop().time() - began >= 60


async def test_a_file_that_is_too_large_is_told_of_and_logged(
    service: Emulator, telegram: Telegram, caplog: pytest.LogCaptureFixture
) -> None:
    telegram.refuse("sendDocument", 413, "Request Entity Too Large", times=9)
    service.script("image", "success")
    telegram.write("/image a cat")
    texts = await said(telegram, "It is made")
    (ref,) = service.created
    assert str(ref) in texts[-1]
    assert f"{ref} is not delivered; it is results" in caplog.text


async def test_a_file_that_cannot_be_fetched_is_told_of_and_logged(
    service: Emulator, telegram: Telegram, caplog: pytest.LogCaptureFixture
) -> None:
    service.fault(Fault(status=403), times=None, media=True)
    service.script("image", "success")
    telegram.write("/image a cat")
    texts = await said(telegram, "It is made")
    (ref,) = service.created
    assert texts[-1] == f"It is made, and I cannot fetch it now: it is {ref}."
    assert f"aitoearn-async download {ref} --save ." in caplog.text


async def test_a_task_that_is_lost_sight_of_is_told_of_and_logged(
    service: Emulator, telegram: Telegram, caplog: pytest.LogCaptureFixture
) -> None:
    service.script("image", "generating")
    telegram.write("/image a cat")
    texts = await said(telegram, "I have lost sight")
    (ref,) = service.created
    assert str(ref) in texts[-1]
    assert f"aitoearn-async wait {ref} --save ." in caplog.text


async def test_a_service_that_is_down_for_an_hour_costs_no_task(
    service: Emulator, telegram: Telegram
) -> None:
    service.script("image", ("generating", 40.0), "success")
    telegram.write("/image a cat")
    await said(telegram, "Working on it")
    await service.aclose()
    await asyncio.sleep(3600)
    await service.start()
    texts = await said(telegram, "Done.")
    assert not any(text.startswith("I have lost sight") for text in texts)


async def test_a_wrong_key_is_in_the_log(
    service: Emulator, telegram: Telegram, caplog: pytest.LogCaptureFixture
) -> None:
    service.fault(Fault(code=401), times=9)
    telegram.write("/image a cat")
    await said(telegram, "That was not taken")
    assert "not taken: " in caplog.text


async def test_what_cannot_be_told_now_is_told_by_the_next_process(
    service: Emulator, telegram: Telegram, tmp_path: Path
) -> None:
    service.script("image", ("generating", 40.0), "failed")
    telegram.write("/image a cat")
    await said(telegram, "Working on it")
    for method in ("editMessageText", "sendMessage"):
        telegram.refuse(method, 403, "Forbidden: bot was blocked by the user", times=9)
    await asyncio.sleep(120)
    assert [ref for _, ref in unfinished(tmp_path)] == [str(ref) for ref in service.created]


async def test_a_kill_loses_neither_what_is_made_nor_what_is_being_ordered(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    paste(PAGE, tmp_path)
    with loop.real_time():
        async with (
            Emulator() as service,
            Telegram() as telegram,
            bot_of(tmp_path, service, telegram) as bot,
        ):
            service.script("image", "generating")
            await bot.start()
            telegram.write("/image a cat")
            await said(telegram, "Working on it")
            service.fault(Fault(stall="head", creates=True), route="submits")
            telegram.write("/image a dog")
            while len(service.created) < 2:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
            assert await bot.kill()

            ref = service.created[0]
            service.set_status(ref, "success")
            await bot.start()
            while unfinished(tmp_path):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
            assert await bot.kill()
            sent = [telegram.sent.get_nowait() for _ in range(telegram.sent.qsize())]
    assert Call("sendDocument", f"image-{ref.id}-1.png") in sent
    assert [call.what[:17] for call in sent if call.what[:1] == "I"] == ["I was interrupted"]
    assert len(service.created) == 2


def bot_of(folder: Path, service: Emulator, telegram: Telegram) -> Forks:
    """The bot in processes of its own, one after the other, as a reader starts it."""
    its = {"TELEGRAM_API": telegram.url, "TELEGRAM_TOKEN": TOKEN}
    return Forks(
        "telegram_bot.py",
        ["aiogram", "aitoearn_async._assembly"],
        cwd=folder,
        env={**os.environ, **environment_of(service), **its},
        log=False,
    )
