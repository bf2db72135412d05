"""The Discord bot of the documentation, with discord.py, against an API server of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import discord
import discord.http
import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator

from .conftest import Recipe
from .discord import TOKEN, USER, Discord, message_data

Write = Callable[[str], None]
PAGE = "how-to/bot.md"


@pytest.fixture
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discord]:
    async with Discord() as platform:
        monkeypatch.setattr(discord.http.Route, "BASE", platform.url)
        yield platform


@pytest.fixture
async def write(service: Emulator, platform: Discord, recipe: Recipe) -> AsyncIterator[Write]:
    """Have somebody write to the bot, which is logged in; the gateway alone is left out."""
    painter = recipe(PAGE, "discord_bot").Painter
    async with Client() as client, painter(client) as bot:
        await bot.login(TOKEN)

        def write(text: str) -> None:
            channel = bot.get_partial_messageable(5)
            data = message_data("20", USER, text)
            message = discord.Message(state=bot._connection, channel=channel, data=data)  # type: ignore[arg-type]
            bot.dispatch("message", message)

        yield write


async def test_a_picture_is_delivered(service: Emulator, platform: Discord, write: Write) -> None:
    service.script("image", ("generating", 40.0), "success")
    for text in ("hello", "!image a cat"):
        write(text)
    texts = [await platform.next() for _ in range(4)]
    (ref,) = service.created
    assert texts == ["One moment.", "Working on it (generating)", f"image-{ref.id}-1.png", "Done."]


async def test_a_prompt_that_cannot_be_used_is_answered(platform: Discord, write: Write) -> None:
    write("!image")
    assert "prompt" in await platform.next()


async def test_a_deleted_message_costs_nothing(
    service: Emulator, platform: Discord, write: Write
) -> None:
    service.script("image", "success")
    platform.refuse("edit", 404, 10008, times=9)
    write("!image a cat")
    texts = [await platform.next() for _ in range(3)]
    assert (texts[0], texts[1][-4:], texts[2]) == ("One moment.", ".png", "Done.")


async def test_a_platform_that_wants_fewer_messages_gets_them_later(
    service: Emulator, platform: Discord, write: Write
) -> None:
    service.script("image", "success")
    platform.refuse("file", 429, 0, times=2)
    write("!image a cat")
    assert (await platform.next(), (await platform.next())[-4:]) == ("One moment.", ".png")


async def test_a_file_that_is_too_large_is_told_of_and_logged(
    service: Emulator, platform: Discord, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    service.script("image", "success")
    platform.refuse("file", 413, 40005, times=9)
    write("!image a cat")
    texts = [await platform.next() for _ in range(2)]
    (ref,) = service.created
    assert texts[1] == f"It is made, and I cannot send it here: it is {ref}."
    assert f"{ref} is not delivered" in caplog.text


async def test_another_process_goes_on(
    service: Emulator, platform: Discord, recipe: Recipe, tmp_path: Path
) -> None:
    painter = recipe(PAGE, "discord_bot").Painter
    service.script("image", ("generating", 600.0), "success")
    async with Client() as client, painter(client) as bot:
        await bot.login(TOKEN)
        channel = bot.get_partial_messageable(5)
        data = message_data("20", USER, "!image a cat")
        message = discord.Message(state=bot._connection, channel=channel, data=data)  # type: ignore[arg-type]
        bot.dispatch("message", message)
        assert [await platform.next() for _ in range(2)][1] == "Working on it (generating)"
    async with Client() as client, painter(client) as bot:
        await bot.login(TOKEN)
        texts = [await platform.next() for _ in range(3)]
    assert (texts[0], texts[1][-4:], texts[2]) == ("Working on it (generating)", ".png", "Done.")
