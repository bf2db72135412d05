"""The calls as people type them: refs as text, files and changes of what was just ordered."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import (
    Client,
    GenerateImage,
    GenerateVideo,
    ImageTask,
    TaskFailedError,
    TaskRef,
    WaitTimeoutError,
)
from aitoearn_async.emulator import Emulator
from tests.support.raw_server import REF, Heard, Part, RawServer, envelope, http

CAT = GenerateImage(model="gpt-image-2", prompt="a cat")


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


RAIN = GenerateVideo(model="sora-2", prompt="rain")


async def test_a_ref_as_text(
    aitoearn_client: Client, aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """Every call that takes a ref takes its text form."""
    ref = aitoearn_service.add_image("success")
    text = str(ref)
    assert (await aitoearn_client.get(text)).ref == ref
    assert (await aitoearn_client.wait_for(text)).ref == ref
    assert [outcome.ref for outcome in await aitoearn_client.wait_all([text, ref])] == [ref, ref]
    async with aitoearn_client.as_completed([text]) as batch:
        assert [outcome.ref async for outcome in batch] == [ref]
    files = await aitoearn_client.download(text, tmp_path)
    assert files == await aitoearn_client.download(ref, tmp_path)
    assert [file.name for file in files] == [f"image-{ref.id}-1.png"]


async def test_a_ref_of_a_task_that_still_runs_is_not_saved(
    aitoearn_client: Client, aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """A download by ref asks for the task, and says how that stands."""
    with pytest.raises(ValueError, match="its status is 'InProgress'"):
        await aitoearn_client.download(aitoearn_service.add_video("InProgress"), tmp_path)


@pytest.mark.parametrize("request_", [CAT, RAIN], ids=["image", "video"])
async def test_run_saves(
    request_: Any, aitoearn_client: Client, aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """`save=` has the files in a directory before the task is returned."""
    task = await aitoearn_client.run(request_, save=tmp_path / "new")
    (file,) = files_in(tmp_path / "new")
    assert file.stat().st_size > 0
    assert task.state.name == "SUCCEEDED"


async def test_run_saves_nothing_of_a_failed_task(
    aitoearn_client: Client, aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """There is nothing to save, and the task is returned or raised as without."""
    aitoearn_service.script("image", "failed")
    task = await aitoearn_client.run(CAT, save=tmp_path, raise_on_failure=False)
    assert task.status == "failed"
    aitoearn_service.script("image", "failed")
    with pytest.raises(TaskFailedError):
        await aitoearn_client.run(CAT, save=tmp_path)
    assert files_in(tmp_path) == []


async def test_a_directory_that_is_none_costs_nothing(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """`save=` is looked at before anything is submitted."""
    with pytest.raises(TypeError, match="save="):
        await aitoearn_client.run(CAT, save="")
    assert aitoearn_service.created == []


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_hooks_of_run(
    is_async: bool, aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """`submitted` and `changed` are called, and awaited where they are async."""
    refs: list[TaskRef[ImageTask]] = []
    words: list[str] = []

    async def submitted(ref: TaskRef[ImageTask]) -> None:
        refs.append(ref)

    async def changed(task: ImageTask) -> None:
        words.append(task.status)

    aitoearn_service.script("image", ("generating", 5.0), "success")
    if is_async:
        await aitoearn_client.run(CAT, submitted=submitted, changed=changed)
    else:
        await aitoearn_client.run(
            CAT, submitted=refs.append, changed=lambda task: words.append(task.status)
        )
    assert refs == aitoearn_service.created
    assert words == ["generating", "success"]


async def test_what_a_hook_raises_names_the_task(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """What is paid for is named in the note of whatever ends the call."""

    async def changed(task: ImageTask) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await aitoearn_client.run(CAT, changed=changed)
    (ref,) = aitoearn_service.created
    assert caught.value.__notes__ == [f"{ref} was submitted and goes on"]


async def test_watch(aitoearn_client: Client, aitoearn_service: Emulator) -> None:
    """The changes of what was just submitted, the end included, also a failure."""
    aitoearn_service.script("video", ("NotStart", 60.0), ("InProgress", 60.0), "FAILURE")
    refs: list[object] = []
    seen = [task.status async for task in aitoearn_client.watch(RAIN, submitted=refs.append)]
    assert seen == ["NotStart", "InProgress", "FAILURE"]
    assert refs == aitoearn_service.created


async def test_watch_sends_nothing_before_it_is_iterated(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """Numbers are refused at the call; nothing is paid for an iterator that is dropped."""
    aitoearn_client.watch(CAT)
    with pytest.raises(ValueError, match="timeout="):
        aitoearn_client.watch(CAT, timeout=-1)
    with pytest.raises(ValueError, match="at_most="):
        aitoearn_client.watch(CAT, at_most=-1)
    assert aitoearn_service.requests == []


async def test_an_error_of_watch_names_the_task(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """What ends the iteration has the ref of what was paid for."""
    aitoearn_service.script("image", "generating")
    with pytest.raises(WaitTimeoutError) as caught:
        async for _ in aitoearn_client.watch(CAT, timeout=timedelta(minutes=1)):
            pass
    assert [caught.value.ref] == aitoearn_service.created
    assert caught.value.elapsed == pytest.approx(60)


async def test_times_as_people_write_them(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """A timedelta is a time, and infinity is no limit."""
    ref = aitoearn_service.add_image(("generating", 1900.0), "success")
    assert (await aitoearn_client.wait_for(ref, timeout=math.inf, patience=math.inf)).done
    assert Client("k", request_timeout=timedelta(seconds=5))
    with pytest.raises(ValueError, match=r"timeout=datetime.timedelta\(days=-1\): give seconds"):
        aitoearn_client.wait_for(ref, timeout=timedelta(days=-1))


async def test_async_hooks_of_the_others(
    aitoearn_client: Client, aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """An async function is awaited, or refused before anything happens; never dropped."""
    seen: list[object] = []

    async def hook(*what: object) -> None:
        seen.append(what)

    ref = aitoearn_service.add_image("success")
    await aitoearn_client.wait_all([ref], progress=hook)
    assert len(seen) == 1
    aitoearn_service.spoil_row(aitoearn_service.add_video("SUCCESS"))
    assert [task async for task in aitoearn_client.list_videos(skipped=hook)] == []
    assert len(seen) == 2
    task = await aitoearn_client.get(ref)
    promise = asyncio.get_running_loop().create_future()
    for refused in (hook, lambda *what: hook(*what), lambda *_: promise):
        with pytest.raises(TypeError, match="progress= is called where nothing can be awaited"):
            await aitoearn_client.download(task, tmp_path, progress=refused)  # type: ignore[arg-type]
    assert len(seen) == 2


async def test_what_cannot_be_called_is_no_hook(
    aitoearn_client: Client, aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """It is refused by its name, before anything is sent or paid for."""
    client = aitoearn_client
    ref = aitoearn_service.add_image("success")
    no_hook: Any = True
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("progress", lambda: client.submit(CAT, progress=no_hook)),
        ("submitted", lambda: client.run(CAT, submitted=no_hook)),
        ("changed", lambda: client.run(CAT, changed=no_hook)),
        ("submitted", lambda: client.watch(CAT, submitted=no_hook)),
        ("skipped", lambda: client.list_videos(skipped=no_hook)),
        ("progress", lambda: client.wait_all([ref], progress=no_hook)),
        ("progress", lambda: client.as_completed([ref], progress=no_hook)),
        ("resume", lambda: client.as_completed([ref], resume=no_hook)),
        ("progress", lambda: client.download(ref, tmp_path, progress=no_hook)),
    ]
    for name, call in calls:
        with pytest.raises(TypeError, match=f"^{name}=True: give a function$"):
            await call()
    assert aitoearn_service.requests == []


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("timeout", "request_timeout="),
        ("max_retries", "attempts="),
        ("poll_interval", "wait=, such as tenacity.wait_fixed"),
        ("event_hooks", "telemetry="),
        ("region", "base_url=: CHINA"),
        ("http_client", "session="),
        ("default_headers", "user_agent="),
    ],
)
def test_names_of_other_packages(name: str, here: str) -> None:
    """An argument that other packages have is refused with what it is called here."""
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}': here it is {here}"):
        Client("k", **{name: 5})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'nonsense'$"):
        Client("k", nonsense=5)  # type: ignore[arg-type]


async def test_extra_fields_are_sent(aitoearn_client: Client, aitoearn_service: Emulator) -> None:
    """What the service has and this version has not goes out with the rest."""
    request = GenerateImage(model="gpt-image-2", prompt="a cat", extra={"background": "opaque"})
    await aitoearn_client.submit(request)
    sent = json.loads(aitoearn_service.requests[-1].body)
    assert sent == {"model": "gpt-image-2", "prompt": "a cat", "background": "opaque"}


async def test_the_list_of_models_is_kept_for_five_minutes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is submitted meanwhile is compared with it. A model that cannot be read is told of.

    It grows old while the machine sleeps, too.
    """
    entries = [{"name": "gpt-image-2", "pricing": "3"}, {"name": 5}]

    def script(heard: Heard) -> Iterable[Part]:
        return [http(envelope({"logId": REF.id} if heard.method == "POST" else entries))]

    request = GenerateImage(model="gpt-image-2", prompt="a cat")
    async with RawServer(*[script] * 20) as server, server.client() as client:
        for pause, lists in ((0, 1), (290, 1), (20, 2), (290, 2)):
            await asyncio.sleep(pause)
            await client.submit(CAT, check=True)
            assert await client.price(request) == 3
            assert sum(heard.method == "GET" for heard in server.heard) == lists
        woken = time.time() + 301
        monkeypatch.setattr(time, "time", lambda: woken)
        assert await client.price(request) == 3
        assert sum(heard.method == "GET" for heard in server.heard) == 3
        assert [model.name for model in await client.image_models()] == ["gpt-image-2"]
    warned = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warned) == 4
    assert all("a model of" in text and "is left out" in text for text in warned)


MODELS = {
    "/api/ai/models/image/generation": [{"name": "gpt-image-2", "pricing": "3"}, {"name": "free"}],
}


async def test_the_price_before_it_is_spent() -> None:
    """`price` asks the list of models, and `at_most` lets nothing out that may cost more."""

    def script(heard: Heard) -> Iterable[Part]:
        if heard.method == "POST":
            return [http(envelope({"logId": REF.id}))]
        return [http(envelope(MODELS[heard.path]))]

    pair = GenerateImage(model="gpt-image-2", prompt="two cats", n=2)
    async with RawServer(*[script] * 9) as server, server.client() as client:
        assert await client.price(pair) == 6
        assert await client.price(GenerateImage(model="free", prompt="a cat")) is None
        watched = anext(aiter(client.watch(pair, at_most=5)))
        for call in (client.submit(pair, at_most=5), client.run(pair, at_most=5), watched):
            with pytest.raises(ValueError, match=r"at_most=5: this may cost 6\. Nothing was sent"):
                await call
        with pytest.raises(ValueError, match="lists no price for this with the model 'free'"):
            await client.submit(GenerateImage(model="free", prompt="a cat"), at_most=5)
        with pytest.raises(ValueError, match="at_most=-1: give a finite number"):
            await client.submit(pair, at_most=-1)
        with pytest.raises(ValueError, match="upload='some'"):  # before anything is asked
            await client.submit(pair, at_most=5, upload="some")  # type: ignore[arg-type]
        assert [heard.method for heard in server.heard] == ["GET"]
        assert await client.submit(pair, at_most=6) == REF
        assert [heard.method for heard in server.heard][-1] == "POST"


async def keys_that_have_run_out() -> str:
    raise StopAsyncIteration


LISTS: dict[str, Callable[[Client], AsyncIterator[object]]] = {
    "videos": lambda client: client.list_videos(),
    "images": lambda client: client.list_images(),
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS)
async def test_a_list_without_a_key_is_not_an_empty_one(
    aitoearn_service: Emulator, listed: Callable[[Client], AsyncIterator[object]]
) -> None:
    """What a `StopAsyncIteration` of the caller's leaves out is not left out in silence."""
    async with Client(keys_that_have_run_out, base_url=aitoearn_service.url) as client:
        with pytest.raises(RuntimeError, match="api_key= raised StopAsyncIteration"):
            await anext(listed(client))


async def test_a_list_whose_hook_fails_can_be_gone_on_with(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """Behind the row that was to be reported."""

    def ending(_: object) -> None:
        raise StopAsyncIteration

    older = aitoearn_service.add_video("SUCCESS")
    aitoearn_service.spoil_row(aitoearn_service.add_video("SUCCESS"))
    videos = aitoearn_client.list_videos(skipped=ending)
    with pytest.raises(RuntimeError, match=r"a hook .* raised StopAsyncIteration"):
        await anext(videos)
    assert [video.ref async for video in videos] == [older]


async def test_a_source_whose_producer_is_cancelled_loses_nothing_that_was_read(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """As with any other source that fails: outcomes first, and then why there are no more."""
    ref = aitoearn_service.add_image(("generating", 10.0), "success")

    async def read() -> AsyncIterator[TaskRef[ImageTask]]:
        yield ref
        producer = asyncio.ensure_future(asyncio.sleep(1000))
        producer.cancel()
        await producer

    async with aitoearn_client.as_completed(read()) as batch:
        assert (await anext(batch)).ok
        with pytest.raises(RuntimeError, match="the source of refs was cancelled") as caught:
            await anext(batch)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
