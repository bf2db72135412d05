"""The list of images: ids and states from the service's logs, whole tasks on demand."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from aitoearn_async import Client, ImageRef, ListedImage, TaskNotFoundError, TaskState
from aitoearn_async._api import image_list
from aitoearn_async.emulator import Emulator
from tests.support.raw_server import Heard, RawServer, envelope, http


async def test_it_goes_through_all_pages_newest_first(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Each task once, with its state; videos are not among them."""
    made = [aitoearn_service.add_image("success" if n % 2 else "generating") for n in range(7)]
    aitoearn_service.add_video("SUCCESS")
    rows = [row async for row in aitoearn_client.list_images(page_size=3)]
    assert {row.ref for row in rows} == set(made)
    assert len(rows) == 7
    assert all(isinstance(row, ListedImage) for row in rows)
    assert {row.state for row in rows} == {TaskState.RUNNING, TaskState.SUCCEEDED}
    assert all(row.created_at is not None for row in rows)
    assert [row.id for row in rows] == [row.ref.id for row in rows]
    whole = await aitoearn_client.get(rows[0].ref)
    assert whole.status == rows[0].status


@pytest.mark.parametrize(("read", "more"), [(2, 1), (2, 2), (4, 2), (4, 4)])
async def test_tasks_made_meanwhile_make_none_come_twice(
    aitoearn_service: Emulator, aitoearn_client: Client, read: int, more: int
) -> None:
    """They push the others onto pages still to come: all of a page, or of several."""
    made = {aitoearn_service.add_image("success") for _ in range(6)}
    seen = []
    async for row in aitoearn_client.list_images(page_size=2):
        seen.append(row.ref)
        if len(seen) == read:
            for _ in range(more):
                aitoearn_service.add_image("generating")
    assert len(seen) == len(set(seen))
    assert made <= set(seen)


async def test_a_service_that_caps_its_pages_loses_no_row() -> None:
    """It gives ten rows at a time, however many it is asked for."""
    rows = [{"id": f"{n:024x}", "status": "success", "type": "image"} for n in range(25)]

    def choose(heard: Heard) -> list[bytes]:
        page = int(re.findall(r"page=(\d+)", heard.path)[0])
        shown = rows[10 * (page - 1) : 10 * page]
        return [http(envelope({"list": shown, "total": len(rows)}))]

    async with RawServer(choose) as server, server.client() as client:
        assert [row.id async for row in client.list_images()] == [row["id"] for row in rows]
        assert len(server.heard) == 3


@pytest.mark.parametrize("size", [3, 2])
async def test_it_tells_how_many_there_are_and_leaves_out_what_has_no_id(size: int) -> None:
    """A row that cannot be asked for is no task. Each page has a fresh address, past all caches."""
    ids = ["a/../b", "", "c" * 24, "x" * 129, "d" * 24]
    rows = [{"id": id, "status": "success", "type": "image"} for id in ids]

    def choose(heard: Heard) -> list[bytes]:
        page = int(re.findall(r"page=(\d+)", heard.path)[0])
        shown = rows[size * (page - 1) : size * page]
        return [http(envelope({"list": shown, "total": len(rows)}))]

    async with RawServer(choose) as server, server.client() as client:
        listed = client.list_images(page_size=size)
        assert listed.total is None
        assert [row.id async for row in listed] == ["c" * 24, "d" * 24]
        assert listed.total == 5
        again = [row async for row in client.list_images(page_size=size)]
        assert len(again) == 2
    fresh = [re.findall(r"[?&]_=([^&]+)", heard.path) for heard in server.heard]
    assert len(fresh) == len({each for (each,) in fresh}) == 2 * math.ceil(5 / size)


async def test_a_service_without_logs_says_so() -> None:
    async with (
        Emulator(routes=["image"]) as service,
        Client(service.api_key, base_url=service.url) as client,
    ):
        with pytest.raises(TaskNotFoundError):
            await anext(client.list_images())


async def test_a_list_that_repeats_itself_ends() -> None:
    """A page that brings nothing new is the last, whatever it says."""
    row = {"id": "6" * 24, "status": "success", "type": "image"}

    def choose(heard: Heard) -> list[bytes]:
        return [http(envelope({"list": [row], "total": 99}))]

    async with RawServer(choose) as server, server.client() as client:
        assert len([row async for row in client.list_images(page_size=1)]) == 1
        assert server.count == 2


@pytest.mark.parametrize("size", [0, 1001, 1.5])
async def test_a_page_has_1_to_1000_rows(size: int, aitoearn_client: Client) -> None:
    with pytest.raises(ValueError, match="page_size"):
        aitoearn_client.list_images(page_size=size)


async def test_a_long_list_is_remembered_in_part(
    aitoearn_service: Emulator, aitoearn_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the rows that can be pushed onto the next page have to be known again."""
    monkeypatch.setattr(image_list, "_MOST_SEEN", 3)
    for _ in range(8):
        aitoearn_service.add_image("success")
    listed = aitoearn_client.list_images(page_size=3)
    rows = []
    async for row in listed:
        rows.append(row.ref)
        if len(rows) == 3:
            aitoearn_service.add_image("generating")
    assert len(rows) == len(set(rows)) == 8
    assert len(listed._seen) == 3


async def test_tasks_that_share_a_list_read_all_of_it(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Though several ask for the same page at the same time."""
    made = [aitoearn_service.add_image() for _ in range(7)]
    rows = aitoearn_client.list_images(page_size=1)

    read: list[ImageRef] = []

    async def reader() -> None:
        async for row in rows:
            read.append(row.ref)
            await asyncio.sleep(1)

    await asyncio.gather(*(reader() for _ in range(3)))
    assert sorted(read, key=str) == sorted(made, key=str)


MADE: dict[str | int | float, datetime | None] = {
    "2026-06-01T10:00:00Z": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T18:00:00+08:00": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T10:00:00": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "9999-12-31T23:00:00-12:00": datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12))),
    1780308000000: datetime(2026, 6, 1, 10, tzinfo=UTC),
    1780308000000000: None,
    1e300: None,
    "soon": None,
}


@pytest.fixture
def in_china(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's zone is eight hours off."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_china")
async def test_a_moment_is_read_as_a_task_has_it() -> None:
    """In any form; without a zone it is UTC. One that cannot be read costs nothing else."""
    rows = [
        {"id": f"{n:024x}", "status": "success", "type": "image", "createdAt": made}
        for n, made in enumerate(MADE)
    ]
    page = http(envelope({"list": rows, "total": len(rows)}))
    async with RawServer(lambda heard: [page]) as server, server.client() as client:
        assert [row.created_at async for row in client.list_images()] == [*MADE.values()]
