"""A bulk of own tasks whose pages turn hostile: every task ends once, and requests are counted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from aitoearn_async import Client, VideoRef
from aitoearn_async.emulator import Emulator, tasks

COUNT = 400

Spoil = Callable[[Emulator, pytest.MonkeyPatch], None]


def _dies(service: Emulator, _: pytest.MonkeyPatch) -> None:
    """Take the route away."""
    service.routes = service.routes - {"logs"}


def _rows(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]) -> None:
    plain = tasks.log_json

    def spoilt(task: Any, *rest: Any) -> bytes:
        row = msgspec.json.decode(plain(task, *rest))
        change(row)
        return msgspec.json.encode(row)

    monkeypatch.setattr(tasks, "log_json", spoilt)


def _shows_others(_: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer with rows of another account."""
    _rows(monkeypatch, lambda row: row.update(id=f"{random.getrandbits(96):024x}"))


def _goes_back(_: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Say of ended tasks that they run, every other time."""

    def back(row: dict[str, Any]) -> None:
        if random.random() < 0.5:
            row.update(status="generating")

    _rows(monkeypatch, back)


def _repeats(service: Emulator, _: pytest.MonkeyPatch) -> None:
    """Make tasks between one page and the next, so that rows stand on both."""

    def more() -> None:
        for _ in range(7):
            service.add_video(("InProgress", 900.0), "SUCCESS")
        loop.call_later(0.5, more)

    loop = asyncio.get_running_loop()
    more()


HOSTILITIES: dict[Spoil, float] = {_dies: 5.0, _shows_others: 5.0, _goes_back: 4.0, _repeats: 0.5}
"""Each with the most requests a task that it may cost."""


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("spoil", HOSTILITIES, ids=lambda spoil: spoil.__name__.strip("_"))
async def test_a_bulk_whose_pages_turn_hostile(
    spoil: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-way, when some have ended. The backoff alone would ask seven to nine times a task."""
    random.seed(5)
    async with (
        Emulator(sweep=30.0, date=datetime(2026, 1, 1, tzinfo=UTC)) as service,
        Client(service.api_key, base_url=service.url) as client,
    ):
        refs = [
            service.add_video(("InProgress", random.uniform(20, 160)), "SUCCESS")
            for _ in range(COUNT)
        ]

        async def submitted() -> AsyncIterator[VideoRef]:
            for ref in refs:
                yield ref

        async with client.as_completed(submitted()) as batch:
            await asyncio.sleep(75)
            spoil(service, monkeypatch)
            outcomes = [outcome async for outcome in batch]
        assert sorted(str(outcome.ref) for outcome in outcomes) == sorted(map(str, refs))
        assert all(outcome.ok and outcome.task.video_url for outcome in outcomes)
        requests = len(service.requests)
        assert requests <= HOSTILITIES[spoil] * COUNT
        assert max(outcome.elapsed for outcome in outcomes) < 300
