"""The caller's own tasks, at a service that looks at its videos twice a minute.

A module of tests takes the fixtures by their names: `client = own_tasks.client`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from aitoearn_async import Client, ImageRef, VideoRef
from aitoearn_async.emulator import Emulator


@pytest.fixture(autouse=True)
def always_the_same_chance() -> None:
    random.seed(11)


@pytest.fixture
async def service() -> AsyncIterator[Emulator]:
    async with Emulator(sweep=30.0, date=datetime(2026, 1, 1, tzinfo=UTC)) as emulator:
        yield emulator


@pytest.fixture
async def client(service: Emulator) -> AsyncIterator[Client]:
    async with Client(service.api_key, base_url=service.url) as client:
        yield client


def images(service: Emulator, count: int, **options: Any) -> list[ImageRef]:
    return [
        service.add_image(("generating", random.uniform(20, 60)), "success", **options)
        for _ in range(count)
    ]


def videos(service: Emulator, count: int) -> list[VideoRef]:
    return [
        service.add_video(("InProgress", random.uniform(60, 120)), "SUCCESS") for _ in range(count)
    ]


def asked(service: Emulator) -> Counter[str]:
    return Counter(request.route or "" for request in service.requests)
