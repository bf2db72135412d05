"""Caches in front of the logs that say "unchanged" of pages that have changed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator, answers
from tests.support import own_tasks
from tests.support.own_tasks import asked as _asked

always_the_same_chance = own_tasks.always_the_same_chance
service, client = own_tasks.service, own_tasks.client

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(autouse=True)
def lying_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each page of the logs that is known to the client be unchanged for ever."""
    plain = answers.answer

    def lying(service: Any, request: Any, fault: Any) -> Any:
        answer = plain(service, request, fault)
        known = request.headers.get("If-None-Match")
        if request.route == "logs" and known is not None:
            answer.body, answer.status = b"", 304
            answer.headers["ETag"] = known
        return answer

    monkeypatch.setattr(answers, "answer", lying)


async def _late(service: Emulator, client: Client, kind: str, lives: list[float]) -> float:
    """Wait for tasks. Return how late their ends are noticed, on average."""
    refs = [
        service.add_image(("generating", seconds), "success")
        if kind == "image"
        else service.add_video(("InProgress", seconds), "SUCCESS")
        for seconds in lives
    ]
    shown = lives if kind == "image" else [-(-seconds // 30) * 30 for seconds in lives]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    elapsed = [outcome.elapsed for outcome in outcomes]
    return sum(have - want for have, want in zip(elapsed, shown, strict=True)) / len(lives)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("kind", "most_late", "most_polls"), [("image", 8, 345), ("video", 18, 60)]
)
async def test_pages_are_not_believed_unchanged_for_long(
    service: Emulator, client: Client, kind: str, most_late: float, most_polls: int
) -> None:
    """Half as long as one task would be left alone; and where ends are overdue, not at all."""
    times = 1 if kind == "image" else 3
    for _ in range(2):
        lives = [random.uniform(20, 60) * times for _ in range(150)]
        assert await _late(service, client, kind, lives) < most_late
    asked = _asked(service)
    assert asked[kind] < most_polls
    assert asked["logs"] < 100


async def test_an_end_on_a_page_is_not_spoken_against_by_a_tag(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task whose tag stays the same is asked for without it, and pages go on to be used."""
    plain = answers.answer

    def lying(service: Any, request: Any, fault: Any) -> Any:
        answer = plain(service, request, fault)
        if request.route == "image":
            answer.headers["ETag"] = 'W/"x"'
            if "If-None-Match" in request.headers:
                answer.body, answer.status = b"", 304
        return answer

    monkeypatch.setattr(answers, "answer", lying)
    assert await _late(service, client, "image", [20 + n for n in range(30)]) < 8
    assert _asked(service)["image"] < 60
