"""The public surface as strict type checkers see it, and as it then behaves.

mypy and basedpyright read this file in their own steps; a wrong type is an error there. The
same lines run here against the emulator, so that types and behaviour cannot drift apart.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import tomllib
from collections.abc import AsyncIterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, assert_type

import tenacity

from aitoearn_async import (
    CHINA,
    INTERNATIONAL,
    AiToEarnError,
    AnyRef,
    AnyTask,
    ApiError,
    Batch,
    BatchStatistics,
    Client,
    ClientStatistics,
    ContractError,
    DownloadError,
    EditImage,
    EditModel,
    GenerateImage,
    GenerateVideo,
    Image,
    ImageModel,
    ImageRef,
    ImageTask,
    MediaAddressError,
    MediaSource,
    Outcome,
    ServiceUnreachableError,
    SkippedVideo,
    SubmitUncertainError,
    TaskFailedError,
    TaskRef,
    TaskRequest,
    TaskState,
    TransportError,
    VideoDefaults,
    VideoError,
    VideoInput,
    VideoList,
    VideoModel,
    VideoRef,
    VideoTask,
    Waiter,
    WaitTimeoutError,
    parse_ref,
    wait_backoff,
)
from aitoearn_async.emulator import Emulator


def test_refs() -> None:
    """Refs are of their kinds, and text gives either."""
    image, video = ImageRef("66"), VideoRef("67")
    assert_type(image.id, str)
    assert_type(image.kind, str)
    assert_type(str(video), str)
    assert_type(parse_ref("image:66"), ImageRef | VideoRef)
    assert_type(sorted([image, image]), list[ImageRef])
    either: AnyRef = parse_ref("video:67")
    if isinstance(either, ImageRef):
        assert_type(either, ImageRef)
    else:
        assert_type(either, VideoRef)
    generic: TaskRef[ImageTask] = image
    assert_type(generic.id, str)
    hosts: list[str] = [CHINA, INTERNATIONAL]
    assert len(hosts) == 2


def image_fields(task: ImageTask) -> None:
    assert_type(task.id, str)
    assert_type(task.log_id, str)
    assert_type(task.model, str | None)
    assert_type(task.prompt, str | None)
    assert_type(task.urls, list[str])
    assert_type(task.to_dict(), dict[str, Any])
    assert_type(task.status, str)
    assert_type(task.state, TaskState)
    assert_type(task.done, bool)
    assert_type(task.duration_ms, float | None)
    assert_type(task.points, float | None)
    assert_type(task.request, dict[str, Any] | None)
    assert_type(task.response, dict[str, Any] | None)
    assert_type(task.images, list[Image] | None)
    assert_type(task.failure, str | None)
    assert_type(task.ref, ImageRef)
    for image in task.images or []:
        assert_type(image.url, str | None)


def video_fields(task: VideoTask) -> None:
    assert_type(task.id, str)
    assert_type(task.model, str | None)
    assert_type(task.prompt, str | None)
    assert_type(task.urls, list[str])
    assert_type(task.to_dict(), dict[str, Any])
    assert_type(task.input, VideoInput | None)
    assert_type(task.video_url, str | None)
    assert_type(task.error, VideoError | None)
    assert_type(task.failure, str | None)
    assert_type(task.ref, VideoRef)
    if task.input is not None:
        assert_type(task.input.image, str | list[str] | None)


async def test_get(aitoearn_client: Client, aitoearn_service: Emulator) -> None:
    """A ref brings the task of its kind."""
    image = await aitoearn_client.get(aitoearn_service.add_image())
    assert_type(image, ImageTask)
    image_fields(image)
    video = await aitoearn_client.get(aitoearn_service.add_video())
    assert_type(video, VideoTask)
    video_fields(video)
    assert_type(aitoearn_client.statistics(), ClientStatistics)
    assert_type(aitoearn_client.statistics().requests, int)


async def test_wait_for(aitoearn_client: Client, aitoearn_service: Emulator) -> None:
    """A wait gives the task of its kind, awaited, iterated, or as a task of asyncio."""
    image, video = aitoearn_service.add_image(), aitoearn_service.add_video()
    waiter = aitoearn_client.wait_for(image)
    assert_type(waiter, Waiter[ImageTask])
    assert_type(waiter.latest, ImageTask | None)
    assert_type(waiter.trouble, ApiError | TransportError | ContractError | None)
    assert_type(waiter.polls, int)
    assert_type(waiter.elapsed, float)
    assert_type(waiter.ref.id, str)
    assert_type(await waiter, ImageTask)
    assert_type(await aitoearn_client.wait_for(video, timeout=None, patience=None), VideoTask)
    async for clip in aitoearn_client.wait_for(video, wait=tenacity.wait_fixed(1)):
        assert_type(clip, VideoTask)
    async for picture in aitoearn_client.wait_for(image, wait=wait_backoff(1, maximum=5)):
        assert_type(picture, ImageTask)
    job = asyncio.create_task(aitoearn_client.wait_for(video))
    assert_type(job, asyncio.Task[VideoTask])
    assert_type(await job, VideoTask)
    both = asyncio.gather(aitoearn_client.wait_for(image), aitoearn_client.wait_for(video))
    assert_type(await both, tuple[ImageTask, VideoTask])
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(aitoearn_client.wait_for(image)), asyncio.Task[ImageTask])
    assert_type(await asyncio.wait_for(aitoearn_client.wait_for(image), 60), ImageTask)


async def test_many(aitoearn_client: Client, aitoearn_service: Emulator) -> None:
    """A batch of one kind gives the outcomes of that kind."""
    refs = [aitoearn_service.add_image() for _ in range(2)]
    batch = aitoearn_client.as_completed(refs)
    assert_type(batch, Batch[ImageTask])
    async with batch as entered:
        assert_type(entered, Batch[ImageTask])
        async for outcome in entered:
            plain: Outcome[ImageTask] = outcome
            assert_type(plain.ok, bool)
            if outcome.ok:  # mypy knows the task by this; pyright does not object
                assert outcome.task.urls is not None
            else:
                assert outcome.error.label
            assert_type(outcome.polls, int)
            assert_type(outcome.elapsed, float)
            assert_type(outcome.unwrap(), ImageTask)
    assert_type(batch.statistics(), BatchStatistics)

    async def lazily() -> AsyncIterator[VideoRef]:
        yield aitoearn_service.add_video()

    assert_type(await aitoearn_client.wait_all(lazily()), list[Outcome[VideoTask]])


async def test_an_outcome_says_which_it_is(
    aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """After a look at `ok` or `error`, checkers know that there is a task, or an error."""
    refs = [aitoearn_service.add_image("success"), aitoearn_service.add_image("failed")]
    seen: list[bool] = []
    async with aitoearn_client.as_completed(refs) as batch:
        async for outcome in batch:
            seen.append(outcome.ok)
            if outcome.ok is True:
                assert_type(outcome.task, ImageTask)
            else:
                assert_type(outcome.error, AiToEarnError)
    assert sorted(seen) == [False, True]
    outcomes: list[Outcome[ImageTask]] = await aitoearn_client.wait_all(refs)
    assert [each.task.urls != [] for each in outcomes] == [True, False]
    assert [each.error.transient for each in outcomes if not each.ok] == [False]


async def test_either_kind(aitoearn_client: Client, aitoearn_service: Emulator) -> None:
    """A ref that may be of either kind brings a task of either kind, with what both have."""
    refs: list[AnyRef] = [aitoearn_service.add_image(), aitoearn_service.add_video()]
    for ref in refs:
        got: AnyTask = await aitoearn_client.get(ref)
        waited: AnyTask = await aitoearn_client.wait_for(ref)
        assert_type(waited.ref, ImageRef | VideoRef)
        assert_type(waited.failure, str | None)
        assert_type(waited.id, str)
        assert_type(waited.urls, list[str])
        assert got.ref == waited.ref == ref
        async for seen in aitoearn_client.wait_for(ref):
            # mypy, not basedpyright, joins the two kinds to their base, which is not public.
            same: AnyTask = seen  # type: ignore[assignment]
            assert same.ref == ref
        job = asyncio.create_task(aitoearn_client.wait_for(ref))
        assert (await job).done
    for outcome in await aitoearn_client.wait_all(refs):
        ended: AnyTask = outcome.unwrap()  # type: ignore[assignment]
        assert ended.done


async def test_making(aitoearn_client: Client, aitoearn_service: Emulator) -> None:
    """A request says what its submit and its run bring."""
    image = GenerateImage(model="gpt-image-2", prompt="x", n=1, response_format="url")
    edit = EditImage(
        model="gpt-image-2", prompt="x", image=["https://x/y.png", b"\x89PNG\r\n\x1a\n"]
    )
    video = GenerateVideo(model="sora-2", prompt="x", image="https://x/y.png", metadata={"a": 1})
    sources: list[MediaSource] = [Path("x.png"), b"x", BytesIO(b"x"), "https://x/y.png"]
    assert EditImage(model="m", prompt="x", image=sources).image == sources
    assert_type(await aitoearn_client.submit(image), ImageRef)
    assert_type(await aitoearn_client.submit(edit, check=True), ImageRef)
    assert_type(await aitoearn_client.submit(video), VideoRef)
    assert_type(await aitoearn_client.run(image), ImageTask)
    assert_type(await aitoearn_client.run(edit, timeout=None), ImageTask)
    assert_type(await aitoearn_client.run(video, raise_on_failure=False), VideoTask)
    refs: list[TaskRef[VideoTask]] = []
    await aitoearn_client.run(video, submitted=refs.append)
    generic: TaskRequest[ImageRef] = image
    assert_type(generic.kind, str)
    assert_type(video.duration, float | None)
    assert_type(aitoearn_service.created, list[ImageRef | VideoRef])


async def test_finding(aitoearn_client: Client) -> None:
    """Lists are of what they say."""
    skipped: list[SkippedVideo] = []
    videos = aitoearn_client.list_videos(page_size=5, skipped=skipped.append)
    assert_type(videos, VideoList)
    assert_type(videos.skipped, int)
    assert_type(videos.total, int | None)
    async for task in videos:
        assert_type(task, VideoTask)
    assert_type(await aitoearn_client.image_models(), list[ImageModel])
    assert_type(await aitoearn_client.edit_models(), list[EditModel])
    for model in await aitoearn_client.video_models():
        assert_type(model, VideoModel)
        assert_type(model.durations, list[float] | None)
        assert_type(model.defaults, VideoDefaults | None)


async def test_files(aitoearn_client: Client, aitoearn_service: Emulator, tmp_path: Path) -> None:
    """Files are paths, of a task of either kind."""
    image = await aitoearn_client.get(aitoearn_service.add_image("success"))
    video = await aitoearn_client.get(aitoearn_service.add_video("SUCCESS"))
    either: list[AnyTask] = [image, video]
    stored = parse_ref(str(image.ref))
    waited = await aitoearn_client.wait_for(stored)
    assert await aitoearn_client.download(waited, tmp_path / "stored")

    def progress(size: int, total: int | None) -> None:
        assert total is None or size <= total

    for task in either:
        paths = await aitoearn_client.download(
            task,
            str(tmp_path),
            timeout=None,
            max_bytes=10_000_000,
            progress=progress,
        )
        assert_type(paths, list[Path])
    refs = [aitoearn_service.add_image("success")]
    async with aitoearn_client.as_completed(refs, save=tmp_path) as batch:
        async for outcome in batch:
            assert_type(outcome.paths, tuple[Path, ...])
    assert_type(await aitoearn_client.wait_all(refs, save=tmp_path), list[Outcome[ImageTask]])


def test_errors() -> None:
    """Errors carry their facts, with types."""
    video = VideoTask(id="67", status="FAILURE")
    api = ApiError(500)
    assert_type(api.code, int)
    assert_type(api.message, str)
    assert_type(api.request_id, str | None)
    assert_type(api.http_status, int)
    assert_type(api.retry_after, float | None)
    assert_type(api.transient, bool)
    assert_type(api.label, str)
    transport = TransportError("it broke")
    assert_type(transport.http_status, int | None)
    assert_type(transport.retry_after, float | None)
    assert_type(ContractError("x").message, str)
    assert_type(TaskFailedError(video).task, ImageTask | VideoTask)
    assert_type(TaskFailedError(video).ref, ImageRef | VideoRef)
    assert_type(AiToEarnError().ref, ImageRef | VideoRef | None)
    uncertain = SubmitUncertainError(GenerateVideo(model="m", prompt="x"), "no answer")
    assert_type(uncertain.request, TaskRequest[Any])
    assert_type(uncertain.reason, str)
    assert_type(uncertain.sent_at, datetime | None)
    download: DownloadError = MediaAddressError("x", video)
    assert_type(download.task, ImageTask | VideoTask)
    assert_type(download.ref, ImageRef | VideoRef)
    assert_type(download.message, str)
    assert_type(download.retry_after, float | None)
    for error in (
        WaitTimeoutError(VideoRef("67"), video, 1.0, 1, {}),
        ServiceUnreachableError(VideoRef("67"), video, 1.0, 1, {}),
    ):
        assert_type(error.ref, ImageRef | VideoRef)
        assert_type(error.latest, ImageTask | VideoTask | None)
        assert_type(error.elapsed, float)
        assert_type(error.polls, int)
        assert_type(error.seen, dict[str, int])
        timeout: TimeoutError | ServiceUnreachableError = error
        assert timeout is error


def test_defaults_are_values() -> None:
    """A default stands in the signature as a value, for editors to show, not as a constant."""
    tree = ast.parse(Path(inspect.getfile(Client)).read_text(encoding="utf-8"))
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
    ]
    named = {
        f"{call.name}: {ast.unparse(default)}"
        for call in calls
        for default in [*call.args.defaults, *call.args.kw_defaults]
        if default is not None and not isinstance(default, ast.Constant)
    }
    assert named == set()


def test_the_checkers_read_this_file() -> None:
    """Both type checkers are strict and are set up to read this folder."""
    tools = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]
    assert tools["mypy"]["strict"] is True
    assert {"aitoearn_async", "tests"} <= set(tools["mypy"]["files"])
    assert tools["basedpyright"]["typeCheckingMode"] == "strict"
    assert {"aitoearn_async", "tests/typing"} <= set(tools["basedpyright"]["include"])
