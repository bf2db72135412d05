"""Tasks whose own route fails for good: when another route is asked, and what it is worth."""

from __future__ import annotations

import pytest

from aitoearn_async import Client, ImageTask, ServiceUnreachableError
from aitoearn_async._api import draft_lookup
from aitoearn_async.emulator import Emulator, Fault


def asked(service: Emulator) -> int:
    return sum(request.route == "drafts" for request in service.requests)


async def test_an_image_whose_row_fails_is_settled(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Its end and its request are there; the addresses of its files are on no other route."""
    ref = aitoearn_service.add_image("success", request={"prompt": "cat"})
    aitoearn_service.spoil_row(ref, 500)
    task = await aitoearn_client.wait_for(ref)
    assert isinstance(task, ImageTask)
    assert (task.ref, task.status, task.images) == (ref, "success", None)
    assert (task.request or {})["prompt"] == "cat"


async def test_it_is_asked_seldom(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """While the task runs on, after twice as many failures each time."""
    ref = aitoearn_service.add_image("generating")
    aitoearn_service.spoil_row(ref, 500)
    with pytest.raises(ServiceUnreachableError):
        await aitoearn_client.wait_for(ref, patience=120)
    polls = sum(request.route == "image" for request in aitoearn_service.requests)
    assert 2 <= asked(aitoearn_service) <= polls / 4


async def test_a_service_without_it_is_asked_once(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Code 404 is remembered for all tasks."""
    aitoearn_service.routes.discard("drafts")
    for ref in (aitoearn_service.add_image("success"), aitoearn_service.add_image("success")):
        aitoearn_service.spoil_row(ref, 500)
        with pytest.raises(ServiceUnreachableError):
            await aitoearn_client.wait_for(ref, patience=60)
    assert sum("draft" in request.path for request in aitoearn_service.requests) == 1


async def test_the_failures_of_ever_so_many_tasks_are_forgotten(
    aitoearn_service: Emulator, aitoearn_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest ones first: what is held does not grow with the tasks."""
    monkeypatch.setattr(draft_lookup, "_MOST_REMEMBERED", 2)
    refs = [aitoearn_service.add_image("success") for _ in range(4)]
    aitoearn_service.fault(Fault(code=500), route="image", times=9)
    outcomes = await aitoearn_client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    held = aitoearn_client._parts.poller._drafts._failures
    assert len(held) <= 2
