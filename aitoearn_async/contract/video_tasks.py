"""The facts about a video task that are found in other fields than those of other kinds."""

from __future__ import annotations

from typing import Any

from .drafts import Draft, address_in
from .outputs import Result, result_at
from .task_times import TaskTimes, seconds_of
from .tasks import VideoError, VideoTask


def results_of(task: VideoTask) -> list[Result]:
    """Return its video. The cover is not among its results: it is a picture of it."""
    return [result_at("video", None, task.video_url)] if task.video_url else []


def times_of(task: VideoTask) -> TaskTimes:
    """Return its times."""
    finished = seconds_of(task.finished_at)
    submitted = seconds_of(task.submitted_at or task.started_at)
    return TaskTimes(task.model, submitted, [] if finished is None else [finished])


def echo_of(task: VideoTask) -> dict[str, Any]:
    """Return the fields of its request, as far as it repeats them as they were sent."""
    return {"model": task.model, "prompt": task.prompt}


def of_draft(id: str, draft: Draft) -> VideoTask:
    """Return the task that a draft shows."""
    error, model = draft.error_message, (draft.request or {}).get("model")
    return VideoTask(
        id=id,
        status=draft.status,
        model=model if isinstance(model, str) else None,
        video_url=address_in((draft.response or {}).get("videoUrl")),
        error=None if error is None else VideoError(message=error),
        submitted_at=draft.created_at,
    )


def may_write(task: VideoTask) -> bool:
    """Return whether a video may be one of a media group, which its first whole answer fills."""
    return task.input is None or task.input.group_id is not None or task.group_id is not None
