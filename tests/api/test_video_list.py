"""The list of videos: each good row once, whatever rows are bad, and no bad row unsaid."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import (
    AuthenticationError,
    Client,
    ContractError,
    ServerError,
    SkippedVideo,
    TaskNotFoundError,
    UnexpectedResponseError,
    VideoList,
    VideoTask,
)
from aitoearn_async._api import video_list
from aitoearn_async._api.video_list import VideoPage
from aitoearn_async.emulator import Emulator, Fault
from tests.support.raw_server import Heard, RawServer, envelope, http


class ListServer:
    """A list of rows, newest first, of which some spoil the pages they are on."""

    def __init__(self, bad: dict[int, int], count: int) -> None:
        self.rows = [(f"{number:x}", bad.get(number)) for number in range(count)]
        self.asked: list[tuple[int, int]] = []
        self.grow: list[int] = []

    async def fetch(self, number: int, size: int) -> VideoPage:
        self.asked.append((number, size))
        for _ in range(self.grow.pop() if self.grow else 0):
            self.rows.insert(0, (f"n{len(self.rows):x}", None))
        shown = self.rows[(number - 1) * size : number * size]
        for _, code in shown:
            if code is not None:
                raise (TaskNotFoundError if code == 12302 else ServerError)(code)
        tasks = [VideoTask(id=id, status="SUCCESS") for id, _ in shown]
        return VideoPage([*tasks], len(self.rows))


bads = st.dictionaries(st.integers(0, 300), st.sampled_from([500, 12302]), max_size=12)


@given(bads, st.integers(0, 300), st.integers(1, 1000))
def test_each_good_row_once(bad: dict[int, int], count: int, page_size: int) -> None:
    server = ListServer(bad, count)
    skipped: list[SkippedVideo] = []

    async def main() -> list[str]:
        videos = VideoList(page_size, server.fetch, skipped.append)
        got = [task.id async for task in videos]
        assert videos.skipped == len(skipped)
        assert videos.total == count
        return got

    assert asyncio.run(main()) == [id for id, code in server.rows if code is None]
    there = sorted(number for number in bad if number < count)
    assert [each.position for each in skipped] == there
    assert [getattr(each.error, "code", None) for each in skipped] == [bad[n] for n in there]
    # Each bad row costs a few pages for each halving, and a page more to make sure.
    pages = count // page_size + 1
    assert len(server.asked) <= pages + len(there) * (4 * page_size.bit_length() + 2)


@given(bads, st.integers(0, 100), st.integers(1, 50), st.lists(st.integers(0, 5), max_size=20))
def test_rows_made_meanwhile_bring_none_twice(
    bad: dict[int, int], count: int, page_size: int, grow: list[int]
) -> None:
    server = ListServer(bad, count)
    good = [id for id, code in server.rows if code is None]
    server.grow = grow

    async def main() -> list[str]:
        return [task.id async for task in VideoList(page_size, server.fetch, None)]

    got = asyncio.run(main())
    assert len(set(got)) == len(got)
    assert [id for id in got if not id.startswith("n")] == good


@given(st.integers(0, 300), st.integers(1, 100), st.integers(1, 100), st.integers(0, 200))
def test_a_service_that_caps_its_pages_loses_no_row(
    count: int, page_size: int, most: int, lie: int
) -> None:
    """It gives fewer rows than were asked for, and tells of more than there are."""
    server = ListServer({}, count)

    async def capped(number: int, size: int) -> VideoPage:
        page = await server.fetch(number, min(size, most))
        return VideoPage(page.rows, count + lie)

    async def main() -> list[str]:
        return [task.id async for task in VideoList(page_size, capped, None)]

    assert asyncio.run(main()) == [id for id, _ in server.rows]
    assert len(server.asked) <= count // min(page_size, most) + 3


def test_a_total_that_is_too_low_is_seen_to_be_wrong() -> None:
    """By a list that is longer."""
    server = ListServer({}, 25)

    async def modest(number: int, size: int) -> VideoPage:
        return VideoPage((await server.fetch(number, size)).rows, 5)

    async def main() -> list[str]:
        return [task.id async for task in VideoList(10, modest, None)]

    assert len(asyncio.run(main())) == 25


async def test_on_the_wire(caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        refs = [service.add_video() for _ in range(250)]
        service.add_image()
        service.spoil_row(refs[7])
        service.spoil_row(refs[200], 500)
        with caplog.at_level(logging.WARNING, "aitoearn_async"):
            got = [task.ref async for task in client.list_videos()]
        assert got == [ref for ref in reversed(refs) if ref not in (refs[7], refs[200])]
        assert [record.getMessage()[:30] for record in caplog.records] == [
            "row 49 of the list of videos i",
            "row 242 of the list of videos ",
        ]
        assert len(service.requests) < 45


@pytest.mark.parametrize("packed", [False, True])
async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(packed: bool) -> None:
    """Rows echo the pictures that they were made from. One is too large by itself."""
    rows = [
        {"id": f"{n:x}", "status": "SUCCESS", "input": {"image": "A" * 9000}} for n in range(25)
    ]
    rows[7]["input"] = {"image": "A" * 70_000}

    def page(heard: Heard) -> list[bytes]:
        query = parse_qs(heard.path.partition("?")[2])
        number, size = int(query["page"][0]), int(query["pageSize"][0])
        body = envelope({"total": 25, "list": rows[(number - 1) * size : number * size]})
        if packed:
            return [http(gzip.compress(body), headers={"Content-Encoding": "gzip"})]
        return [http(body)]

    async with RawServer(page) as server, server.client(max_response_bytes=60_000) as client:
        skipped: list[SkippedVideo] = []
        got = [task.id async for task in client.list_videos(skipped=skipped.append)]
        assert got == [row["id"] for row in rows if row is not rows[7]]
        (left,) = skipped
        assert left.position == 7
        assert isinstance(left.error, UnexpectedResponseError)
        assert "max_response_bytes=" in str(left.error)
        assert server.count < 25


async def test_pages_that_are_all_too_large_end_it() -> None:
    body = http(envelope({"total": 25, "list": [], "more": "A" * 9000}))
    async with (
        RawServer(lambda _: [body]) as server,
        server.client(max_response_bytes=1000) as client,
    ):
        skipped: list[SkippedVideo] = []
        with pytest.raises(UnexpectedResponseError, match="max_response_bytes="):
            await anext(client.list_videos(skipped=skipped.append))
        assert skipped == []
        assert server.count < 20


async def test_nothing_is_asked_before_and_a_page_at_a_time() -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        refs = [service.add_video() for _ in range(5)]
        videos = client.list_videos(page_size=2)
        assert service.requests == []
        assert (await anext(videos)).ref == refs[-1]
        assert (await anext(videos)).ref == refs[-2]
        (request,) = service.requests
        assert request.path.startswith("/api/ai/video/generations?page=1&pageSize=2&")
        assert [task.ref async for task in videos] == refs[2::-1]
        assert [task async for task in videos] == []
        assert len(service.requests) == 3


@pytest.mark.parametrize("count", [0, 2, 3])
async def test_the_end_of_the_list(count: int) -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        for _ in range(count):
            service.add_video()
        assert len([task async for task in client.list_videos(page_size=3)]) == count
        assert len(service.requests) == 1


async def test_passing_trouble_is_not_a_rows() -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        refs = [service.add_video() for _ in range(3)]
        skipped: list[SkippedVideo] = []
        for fault in (Fault(status=502), Fault(reset=True), Fault(code=429)):
            service.fault(fault)
            got = [task.ref async for task in client.list_videos(skipped=skipped.append)]
            assert got == refs[::-1]
        assert skipped == []
        assert len(service.requests) == 6


@pytest.mark.parametrize("code", [500, 12302])
async def test_a_service_that_fails_is_not_a_bad_row(code: int) -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        refs = [service.add_video() for _ in range(3)]
        service.fault(Fault(code=code), times=None)
        skipped: list[SkippedVideo] = []
        videos = client.list_videos(skipped=skipped.append)
        with pytest.raises((ServerError, TaskNotFoundError)):
            await anext(videos)
        assert skipped == []
        service.clear_faults()
        assert [task.ref async for task in videos] == refs[::-1], "it can be taken up again"


async def test_a_gateway_in_trouble_is_not_a_bad_row() -> None:
    """Smaller pages are not to be had of it either."""
    trouble = http(b'{"status":500,"error":"no upstream"}')
    async with RawServer(lambda _: (trouble,)) as server, server.client(attempts=2) as client:
        with pytest.raises(ServerError):
            await anext(aiter(client.list_videos()))
    assert server.count == 2


async def test_a_refusal_ends_it() -> None:
    async with Emulator() as service, Client("wrong", base_url=service.url) as client:
        with pytest.raises(AuthenticationError):
            await anext(client.list_videos())
        assert len(service.requests) == 2, "it takes two witnesses"


async def test_a_row_that_breaks_the_contract_is_left_out() -> None:
    rows: list[Any] = [{"id": "a", "status": 1}, {"id": "b", "status": "x", "submittedAt": "?"}, 7]

    def page(heard: Heard) -> list[bytes]:
        return [http(envelope({"page": 1, "total": 3, "list": rows}))]

    async with RawServer(page) as server, server.client() as client:
        skipped: list[SkippedVideo] = []
        (task,) = [task async for task in client.list_videos(skipped=skipped.append)]
        assert task.id == "b"
        assert [each.position for each in skipped] == [0, 2]
        assert all(isinstance(each.error, ContractError) for each in skipped)
        assert "$.status" in str(skipped[0].error)


async def test_a_row_that_is_left_out_is_named_by_its_place_in_the_list() -> None:
    """On whichever page it stands."""
    rows: list[Any] = [{"id": f"v{n}", "status": 5 if n in (1, 4) else "x"} for n in range(6)]

    def page(heard: Heard) -> list[bytes]:
        number = int(parse_qs(heard.path.partition("?")[2])["page"][0])
        shown = rows[2 * (number - 1) : 2 * number]
        return [http(envelope({"page": number, "total": 6, "list": shown}))]

    async with RawServer(page) as server, server.client() as client:
        skipped: list[SkippedVideo] = []
        listed = client.list_videos(page_size=2, skipped=skipped.append)
        assert [task.id async for task in listed] == ["v0", "v2", "v3", "v5"]
    assert [each.position for each in skipped] == [1, 4]


async def test_an_id_that_names_no_task_is_left_out() -> None:
    rows = [{"id": id, "status": "x"} for id in ("../x", "b", "", "x" * 10**6)]
    page = http(envelope({"page": 1, "total": 4, "list": rows}))
    async with RawServer(lambda _: [page]) as server, server.client() as client:
        skipped: list[SkippedVideo] = []
        assert [task.id async for task in client.list_videos(skipped=skipped.append)] == ["b"]
        assert [each.position for each in skipped] == [0, 2, 3]
        assert all(len(str(each.error)) < 200 for each in skipped)


async def test_a_report_that_fails_costs_no_row() -> None:
    """The iteration can be taken up again behind the row that it was of."""
    rows = [{"id": id, "status": status} for id, status in [("a", "x"), ("b", 5), ("c", "x")]]
    page = http(envelope({"page": 1, "total": 3, "list": rows}))

    def fail(skipped: SkippedVideo) -> None:
        raise ZeroDivisionError

    async with RawServer(lambda _: [page]) as server, server.client() as client:
        videos = client.list_videos(skipped=fail)
        assert (await anext(videos)).id == "a"
        with pytest.raises(ZeroDivisionError):
            await anext(videos)
        assert [task.id async for task in videos] == ["c"]
        assert server.count == 1


async def test_a_list_that_leads_nowhere() -> None:
    """A page that comes whichever is asked for, as from a cache that passes over the query."""
    rows = [VideoTask(id=f"{number:x}", status="x") for number in range(1000)]
    asked: list[int] = []

    async def fetch(number: int, size: int) -> VideoPage:
        asked.append(number)
        return VideoPage([*rows], None)

    videos = VideoList(1000, fetch, None)
    assert [await anext(videos) for _ in rows] == rows
    for _ in range(2):
        with pytest.raises(ContractError, match="has had before"):
            await anext(videos)
    assert len(asked) <= 13


async def test_a_list_that_is_none() -> None:
    async with RawServer(lambda _: [http(envelope({"page": 1}))]) as server:
        client = server.client()
        with pytest.raises(ContractError, match="list"):
            await anext(client.list_videos())
        await client.aclose()


async def test_two_readers_are_told_apart() -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        service.add_video()
        videos = client.list_videos()
        first = asyncio.ensure_future(anext(videos))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already being read"):
            await anext(videos)
        await first


async def test_cancelled_it_goes_on_where_it_was() -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        refs = [service.add_video() for _ in range(4)]
        videos = client.list_videos(page_size=2)
        got = [(await anext(videos)).ref, (await anext(videos)).ref]
        service.fault(Fault(stall="head"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(videos)
        got += [task.ref async for task in videos]
        assert got == refs[::-1]


@pytest.mark.parametrize("size", [0, -1, 1001, True, 1.0])
async def test_page_sizes(size: Any) -> None:
    async with Client("key", base_url="http://127.0.0.1:1") as client:
        with pytest.raises(ValueError, match="page_size="):
            client.list_videos(page_size=size)


async def test_a_long_list_is_remembered_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the rows that can be pushed onto the next page have to be known again."""
    monkeypatch.setattr(video_list, "_MOST_SEEN", 3)
    server = ListServer({}, 20)
    server.grow = [0, 2, 0, 1]
    rows = VideoList(5, server.fetch, None)
    found = [task.id async for task in rows]
    assert len(found) == len(set(found))
    assert len(rows._seen) == 3
    assert rows.total == len(server.rows) > 21, "as of when it was last asked"


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize("route", ["videos", "logs"])
async def test_a_list_is_left_alone_for_as_long_as_one_of_its_pages_says(
    aitoearn_service: Emulator, aitoearn_client: Client, route: str, status: int
) -> None:
    """The next page, and the same list begun anew, come later."""
    for _ in range(3):
        aitoearn_service.add_video("SUCCESS")
        aitoearn_service.add_image("success")
    fault = Fault(headers={"Retry-After": "20"}, status=None if status == 200 else status)
    aitoearn_service.fault(fault, route=route, times=1)
    lists: dict[str, Any] = {
        "videos": aitoearn_client.list_videos,
        "logs": aitoearn_client.list_images,
    }
    async for _ in lists[route](page_size=2):
        break
    assert len([row async for row in lists[route](page_size=2)]) == 3
    told, *later = [request.at for request in aitoearn_service.requests if request.route == route]
    assert later[0] - told >= 20
    assert later[-1] - told < 30
