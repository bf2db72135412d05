"""A task as the drafts' route shows it: what of it can be told, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aitoearn_async import AnyRef, ImageRef, TaskState, VideoRef
from aitoearn_async.contract.drafts import Draft, draft_decoder
from aitoearn_async.contract.endpoints import task_of

ID = "66f0c0ffee0123456789abcd"
IMAGE, VIDEO = ImageRef(ID), VideoRef(ID)


def draft(status: str, **fields: Any) -> Draft:
    row = {"id": ID.upper(), "status": status, "createdAt": "2026-11-29T17:00:00.000Z", **fields}
    return draft_decoder.decode(msgspec.json.encode({"code": 0, "data": row})).data


def test_an_images_addresses_are_kept_and_its_paths_are_not() -> None:
    """The row holds paths in the storage; without its origin they lead nowhere."""
    rows: list[Any] = [{"url": "https://x/1.png"}, {"url": "media/2.png"}, {"url": None}, "3"]
    task = task_of(IMAGE, draft("success", response={"list": rows}, request={"prompt": "cat"}))
    assert task is not None
    assert (task.ref, task.state) == (IMAGE, TaskState.SUCCEEDED)
    assert [image.url for image in getattr(task, "images", None) or []] == ["https://x/1.png"]
    assert getattr(task, "request", None) == {"prompt": "cat"}


@pytest.mark.parametrize("response", [None, {}, {"list": None}, {"list": [{"url": "a/b.png"}]}])
def test_an_image_without_addresses_has_none(response: dict[str, Any] | None) -> None:
    """As on its own route, where `images` may be missing too."""
    task = task_of(IMAGE, draft("success", response=response))
    assert getattr(task, "images", "no task") is None


@pytest.mark.parametrize(
    ("ref", "fields", "reason"),
    [
        (IMAGE, {"errorMessage": "refused"}, "refused"),
        (IMAGE, {}, None),
        (VIDEO, {"errorMessage": "refused", "request": {"model": 5}}, "refused"),
        (VIDEO, {}, None),
    ],
)
def test_a_failure_has_its_reason(ref: AnyRef, fields: dict[str, Any], reason: str | None) -> None:
    """If the service has given one."""
    task = task_of(ref, draft("failed", **fields))
    assert task is not None
    assert (task.ref, task.state, task.failure) == (ref, TaskState.FAILED, reason)


def test_a_video_has_its_address_and_its_model() -> None:
    """What the row of a video holds is absolute."""
    found = task_of(
        VIDEO,
        draft("success", response={"videoUrl": "https://x/1.mp4"}, request={"model": "sora-2"}),
    )
    assert getattr(found, "video_url", None) == "https://x/1.mp4"
    assert getattr(found, "model", None) == "sora-2"


@pytest.mark.parametrize(
    "row", [draft("generating"), msgspec.structs.replace(draft("success"), id="6" * 24)]
)
def test_what_runs_or_is_another_task_is_none(row: Draft) -> None:
    """An answer is believed only if it names the task that was asked for."""
    assert task_of(IMAGE, row) is None
