"""Each response is evidence of its own: no cache's copy, nobody else's refusal is believed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest
from tenacity import wait_fixed

from aitoearn_async import (
    AuthenticationError,
    GenerateImage,
    ImageRef,
    SubmitUncertainError,
    TaskNotFoundError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from aitoearn_async._api import provenance
from aitoearn_async._api.provenance import RefusalCheck
from aitoearn_async.contract.refusal import Refusal
from tests.polling.model import now
from tests.support.raw_server import (
    ID,
    REF,
    Heard,
    Part,
    RawServer,
    envelope,
    good,
    http,
    refuse,
    task,
)

REQUEST = GenerateImage(model="m", prompt="a cat")


def stored(status: str, **headers: str) -> bytes:
    body = envelope(task(status), request_id="theirs")
    return http(body, headers={"ETag": 'W/"x"', **headers})


async def test_a_get_forbids_caches_to_answer() -> None:
    """Without a condition by Cache-Control; with one by Pragma, which leaves the 304."""
    async with (
        RawServer(lambda _: [http_with_tag("generating")]) as server,
        server.client() as client,
    ):
        with pytest.raises(WaitTimeoutError):
            await client.wait_for(REF, timeout=25, wait=wait_fixed(10))
        first, second, *_ = server.heard
        assert (first.header("Cache-Control"), first.header("Pragma")) == ("no-cache", None)
        assert (second.header("Cache-Control"), second.header("Pragma")) == (None, "no-cache")
        assert second.header("If-None-Match") == 'W/"x"'


TAG = {"ETag": 'W/"x"'}


def http_with_tag(status: str) -> bytes:
    return http(envelope(task(status)), headers=TAG)


async def test_a_cache_that_says_so_is_gone_past(caplog: pytest.LogCaptureFixture) -> None:
    """Its Age tells; from then on each poll has an address that it has not seen."""

    def cache(heard: Heard) -> Iterable[Part]:
        fresh = "?_=" in heard.path
        return [http_with_tag("success") if fresh else stored("generating", Age="34")]

    async with RawServer(cache) as server, server.client() as client:
        with caplog.at_level(logging.WARNING, "aitoearn_async"):
            done = await client.wait_for(REF, timeout=60, wait=wait_fixed(5))
        assert done.status == "success"
        assert len(server.heard) <= 3
        told = [record.message for record in caplog.records if "cache" in record.message]
        assert len(told) == 1, "once, whatever the number of polls"


async def test_a_cache_that_says_nothing_is_found_out_by_the_last_poll() -> None:
    """It answers what it answered at first; the last poll has an id that it cannot know."""
    kept: list[bytes] = []

    def cache(heard: Heard) -> Iterable[Part]:
        if "?_=" in heard.path:
            return good("success", id=ID)(heard)
        if not kept:
            id = heard.header("X-Request-Id")
            kept.append(http(envelope(task("generating"), request_id=id)))
        return [kept[0]]

    async with RawServer(cache) as server, server.client() as client:
        assert (await client.wait_for(REF, timeout=60, wait=wait_fixed(5))).status == "success"


@pytest.mark.parametrize("has_tag", [True, False], ids=["a tag that stays", "a silent cache"])
async def test_unchanged_is_not_believed_for_longer_than_two_minutes(has_tag: bool) -> None:
    """Then a task is asked for afresh. What was told wrong is not asked for any more."""
    began, kept = now(), dict[str, bytes]()

    def service(heard: Heard) -> Iterable[Part]:
        if has_tag and heard.header("If-None-Match"):
            return [http(b"", 304, TAG)]
        path, *query = heard.path.split("?")
        status = "success" if heard.at > began + 30 else "generating"
        _, answer = good(status)(heard)
        assert isinstance(answer, bytes)
        if has_tag:
            return [answer.replace(b"\r\n\r\n", b'\r\nETag: W/"x"\r\n\r\n', 1)]
        return [answer if query else kept.setdefault(path, answer)]

    async with RawServer(service) as server, server.client() as client:
        for number, most in ((0, 131), (1, 36)):
            began = now()
            await client.wait_for(ImageRef(f"{number:024x}"), wait=wait_fixed(5))
            assert 30 < now() - began < most


async def test_a_get_is_not_answered_with_anothers_answer() -> None:
    """A good answer with the id of an earlier request is a copy, and is asked for once more."""
    kept: list[bytes] = []

    def cache(heard: Heard) -> Iterable[Part]:
        id = heard.header("X-Request-Id") or ""
        status = "generating" if not kept else "success"
        answer = http(envelope(task(status), request_id=id))
        if "?_=" in heard.path:
            return [answer]
        kept.append(answer)
        return [kept[0]]

    async with RawServer(cache) as server, server.client() as client:
        assert (await client.get(REF)).status == "generating"
        assert (await client.get(REF)).status == "success"


async def test_no_address_is_asked_for_twice_past_a_cache() -> None:
    """Nor by two clients: a cache keeps what it has fetched for the other one."""

    def cache(heard: Heard) -> Iterable[Part]:
        return [stored("generating", Age="34")]

    async with RawServer(cache) as server:
        for _ in range(2):
            async with server.client() as client:
                with pytest.raises(WaitTimeoutError):
                    await client.wait_for(REF, timeout=20, wait=wait_fixed(5))
        fresh = [heard.path for heard in server.heard if "?" in heard.path]
        assert len(fresh) > 4
        assert len(set(fresh)) == len(fresh)


async def test_a_copy_made_for_another_client_is_known_by_its_request_id() -> None:
    """The cache says nothing, and this client has had no answer of its own before."""
    other = http(envelope(task("generating"), request_id=f"0123456789ab-{ID}"))

    def cache(heard: Heard) -> Iterable[Part]:
        return good("success")(heard) if "?" in heard.path else [other]

    async with RawServer(cache) as server, server.client() as client:
        assert (await client.wait_for(REF, wait=wait_fixed(5))).status == "success"
        assert server.count == 2


async def test_a_condition_that_is_not_heeded_is_asked_with_the_other_header() -> None:
    """Caddy and Traefik make of `Pragma` what has frameworks send the whole response."""

    def service(heard: Heard) -> Iterable[Part]:
        if heard.header("If-None-Match") is None or heard.header("Pragma") == "no-cache":
            return [http_with_tag("generating")]
        return [http(b"", 304, {"ETag": 'W/"x"'})]

    async with RawServer(service) as server, server.client() as client:
        with pytest.raises(WaitTimeoutError):
            await client.wait_for(REF, timeout=48, wait=wait_fixed(5))
        conditional = [heard for heard in server.heard if heard.header("If-None-Match")]
        assert [heard.header("Pragma") for heard in conditional].count("no-cache") == 1
        assert [heard.header("Cache-Control") for heard in conditional][1:4] == ["max-age=0"] * 3


async def test_two_conditions_that_are_not_heeded_at_once_change_the_header_once() -> None:
    """The second one was sent with the same header as the first, and says nothing new."""

    def service(heard: Heard) -> Iterable[Part]:
        return [1.0, http(envelope(task("generating", id=heard.path[-24:])), headers=TAG)]

    async with RawServer(service) as server, server.client() as client:
        refs = [REF, ImageRef("0" * 24)]
        waits = [client.wait_for(ref, timeout=21, wait=wait_fixed(5)) for ref in refs]
        await asyncio.gather(*waits, return_exceptions=True)
        conditional = [heard for heard in server.heard if heard.header("If-None-Match")]
        assert [heard.header("Pragma") for heard in conditional[:2]] == ["no-cache"] * 2
        assert [heard.header("Cache-Control") for heard in conditional[2:4]] == ["max-age=0"] * 2


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_each_page_of_a_list_has_an_address_of_its_own(kind: str) -> None:
    """A cache's copy, maybe made for another client, would hide a task that is paid for."""
    rows = http(envelope({"list": [], "total": 0}))
    async with RawServer(lambda _: [rows]) as server, server.client() as client:
        for _ in range(2):
            listed = client.list_images() if kind == "image" else client.list_videos()
            assert [row async for row in listed] == []
        assert len({heard.path for heard in server.heard}) == server.count == 2


async def test_what_takes_no_query_is_asked_without_one() -> None:
    """A cache's answer is better than none."""

    def strict(heard: Heard) -> Iterable[Part]:
        if "?" in heard.path:
            return [http(b"<html>", 502)]
        done = heard.at > server.heard[0].at + 22
        return [stored("success" if done else "generating", Age="3")]

    async with RawServer(strict) as server, server.client() as client:
        assert (await client.wait_for(REF, timeout=60, wait=wait_fixed(10))).status == "success"


@pytest.mark.parametrize("status", [403, 502])
async def test_a_get_of_what_takes_no_query_is_answered_without_one(status: int) -> None:
    """The first one too, which finds the cache."""

    def strict(heard: Heard) -> Iterable[Part]:
        return [http(b"<html>", status) if "?" in heard.path else stored("generating", Age="3")]

    async with RawServer(strict) as server, server.client(attempts=1) as client:
        for _ in range(2):
            assert (await client.get(REF)).status == "generating"


async def test_the_way_past_a_cache_is_tried_now_and_then_where_it_is_refused() -> None:
    """A poll then costs one request, and not two; the way is found within minutes, once open."""
    opens = now() + 3000

    def strict(heard: Heard) -> Iterable[Part]:
        if "?" not in heard.path:
            return [stored("generating", Age="3")]
        return good("success")(heard) if heard.at > opens else [http(b"<html>", 403)]

    async with RawServer(strict) as server, server.client() as client:
        await client.wait_for(REF, timeout=7200, wait=wait_fixed(5))
        past = [heard.at for heard in server.heard if "?" in heard.path]
        assert len(past) < 0.05 * server.count, "and the others believe the copy"
        assert past[-1] < opens + 310


async def test_polls_that_are_refused_at_one_moment_count_once() -> None:
    """Else a crowd would not try the way past a cache for minutes after its first poll."""

    def strict(heard: Heard) -> Iterable[Part]:
        if "?" in heard.path:
            return [1.0, http(b"<html>", 403)]
        return [stored("generating", Age="3")]

    async with RawServer(strict) as server, server.client() as client:
        waits = [client.wait_for(REF, timeout=60, wait=wait_fixed(3)) for _ in range(8)]
        running = [asyncio.ensure_future(wait) for wait in waits]
        for rounds in (1, 2, 3):
            await asyncio.sleep(4 if rounds > 1 else 2)
            assert server.count == rounds * 16, "each went past the cache, and was refused"
        for each in running:
            each.cancel()


@pytest.mark.parametrize("call", ["final poll", "get"])
async def test_what_is_asked_once_goes_past_a_cache_where_it_was_refused_just_before(
    call: str,
) -> None:
    """There is no next poll that would find the way open."""
    opens = now() + 1000

    def strict(heard: Heard) -> Iterable[Part]:
        if "?" not in heard.path:
            return [stored("generating", Age="3")]
        return good("success")(heard) if heard.at > opens else [http(b"<html>", 502)]

    async with RawServer(strict) as server, server.client() as client:
        if call == "final poll":
            task = await client.wait_for(REF, timeout=1030, wait=wait_fixed(5))
        else:
            with pytest.raises(WaitTimeoutError):
                await client.wait_for(REF, timeout=990, wait=wait_fixed(5))
            await asyncio.sleep(20)
            task = await client.get(REF)
        assert task.status == "success"


async def test_a_way_past_a_cache_that_was_refused_for_a_moment_is_taken_again() -> None:
    """What it was refused for earlier is forgotten, once it was open."""
    began = now()

    def cache(heard: Heard) -> Iterable[Part]:
        elapsed = heard.at - began
        if "?" not in heard.path:
            return [stored("generating", Age="3")]
        if elapsed < 1000 or 3000 < elapsed < 3006:
            return [http(b"<html>", 502)]
        return good("success" if elapsed > 3010 else "generating")(heard)

    async with RawServer(cache) as server, server.client() as client:
        await client.wait_for(REF, timeout=7200, wait=wait_fixed(5))
        assert now() - began < 3030


async def test_an_outage_refuses_no_way_past_a_cache() -> None:
    """After it no more copies are believed than before."""
    began = now()

    def cache(heard: Heard) -> Iterable[Part]:
        elapsed = heard.at - began
        if 20 < elapsed < 400:
            return [http(b"<html>", 502)]
        if "?" not in heard.path:
            return [stored("generating", Age="3")]
        return good("success" if elapsed > 400 else "generating")(heard)

    async with RawServer(cache) as server, server.client() as client:
        await client.wait_for(REF, timeout=7200, patience=7200, wait=wait_fixed(5))
        assert now() - began < 500


async def test_a_no_of_the_service_past_a_cache_is_believed() -> None:
    """Though the cache still has the task."""

    def cache(heard: Heard) -> Iterable[Part]:
        return refuse(404)(heard) if "?" in heard.path else [stored("generating", Age="34")]

    async with RawServer(cache) as server, server.client() as client:
        for _ in range(2):
            with pytest.raises(TaskNotFoundError):
                await client.get(REF)
        with pytest.raises(TaskNotFoundError):
            await client.wait_for(REF, timeout=60, wait=wait_fixed(5))


async def test_copies_are_told_of_when_time_is_over() -> None:
    """Where every address is answered by the cache, the error says so."""
    cache = stored("generating", Age="34")
    async with RawServer(lambda _: [cache]) as server, server.client() as client:
        with pytest.raises(WaitTimeoutError) as caught:
            await client.wait_for(REF, timeout=30, wait=wait_fixed(5))
        assert any("from a cache" in word for word in caught.value.seen)
        assert "from a cache" in str(caught.value)


async def test_a_refusal_with_a_gateways_id_is_believed_the_second_time() -> None:
    """The service echoes ids and the gateway has its own: the key is gone all the same."""

    def service(heard: Heard) -> Iterable[Part]:
        if heard.number < 2:
            return good("generating")(heard)
        return refuse(401, request_id=f"gateway-{heard.number}")(heard)

    async with RawServer(service) as server, server.client() as client:
        with pytest.raises(AuthenticationError):
            await client.wait_for(REF, wait=wait_fixed(5))
        assert server.count < 10


async def test_a_copy_of_a_refusal_is_no_second_one() -> None:
    """The very same timestamp shows it."""

    def service(heard: Heard) -> Iterable[Part]:
        if heard.number < 2:
            return good("generating")(heard)
        if heard.number < 5:
            body = b'{"data":{},"code":404,"message":"x","timestamp":17,"requestId":"gw"}'
            return [http(body)]
        return good("success")(heard)

    async with RawServer(service) as server, server.client() as client:
        assert (await client.wait_for(REF, wait=wait_fixed(5))).status == "success"


async def test_what_is_asked_again_to_be_sure_is_asked_afresh() -> None:
    """After trouble, the next poll has a request id of its own, and caches must not answer."""

    def service(heard: Heard) -> Iterable[Part]:
        return (refuse(500) if heard.number == 1 else good("generating"))(heard)

    async with RawServer(service) as server, server.client() as client:
        with pytest.raises(WaitTimeoutError):
            await client.wait_for(REF, timeout=30, wait=wait_fixed(5))
        ids = [heard.header("X-Request-Id") for heard in server.heard]
        assert ids[0] == ids[1] != ids[2]
        assert server.heard[2].header("Cache-Control") == "no-cache"


@pytest.mark.parametrize("status", [301, 302, 303, 304, 408, 409, 418, 425, 499, 500, 503])
async def test_a_status_that_leaves_it_open_leaves_it_open(status: int) -> None:
    """303 leads to what was made; 409 may mean that it is there."""
    async with RawServer(lambda _: [http(b"", status)]) as server, server.client() as client:
        with pytest.raises(SubmitUncertainError):
            await client.submit(REQUEST)
        assert [heard.method for heard in server.heard].count("POST") == 1


@pytest.mark.parametrize("status", [307, 308, 400, 403, 404, 413])
async def test_a_status_that_says_no_is_a_no(status: int) -> None:
    """None of them comes after the request was acted on."""
    async with RawServer(lambda _: [http(b"", status)]) as server, server.client() as client:
        with pytest.raises(UnexpectedResponseError):
            await client.submit(REQUEST)


@pytest.mark.parametrize(
    "receipt",
    [
        envelope({"logId": ID, "status": "generating"}, request_id="r").replace(b'"r"', b"17"),
        b"\xef\xbb\xbf" + envelope({"logId": ID, "status": "generating"}),
        envelope({"logId": 12345678, "status": "generating"}),
    ],
    ids=["a request id that is a number", "a BOM", "an id that is a number"],
)
async def test_a_receipt_in_another_dress_is_one(receipt: bytes) -> None:
    """The task is made and paid for; its id is there."""
    async with RawServer(lambda _: [http(receipt)]) as server, server.client() as client:
        assert await client.submit(REQUEST) in (ImageRef(ID), ImageRef("12345678"))


async def test_an_error_has_the_services_own_id_and_ours() -> None:
    """The first is what the service's people can look up."""
    refusal = refuse(404, request_id="theirs-1")
    async with RawServer(refusal) as server, server.client() as client:
        with pytest.raises(TaskNotFoundError) as caught:
            await client.get(REF)
        assert caught.value.request_id == "theirs-1"
        assert caught.value.sent_request_id == server.heard[0].header("X-Request-Id")


def test_the_doubts_of_ever_so_many_tasks_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest one first: its next refusal is doubted once more."""
    monkeypatch.setattr(provenance, "_MOST_REMEMBERED", 2)
    check = RefusalCheck(str)
    refs = [ImageRef(f"{number:024x}") for number in range(3)]
    assert not check.note_good(REF, "me-1", "me-1")
    first = Refusal(404, "no", "gateway", b"1")
    again = Refusal(404, "no", "gateway", b"2")
    assert [check.why_stray(ref, "me-2", first) is None for ref in refs] == [False] * 3
    assert [check.why_stray(ref, "me-3", again) is None for ref in refs[1:]] == [True] * 2
    assert check.why_stray(refs[0], "me-3", again) is not None
