"""The service without its sockets: its tasks, files, accounts and pending faults.

There is no timer per task, so ten thousand of them cost nothing until somebody asks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, get_args

from aitoearn_async import AnyRef, ImageRef, VideoRef

from . import media
from .codes import UNKNOWN_TASK
from .faults import Fault, FaultQueues
from .identifiers import key_of, object_id
from .models import CHANNELS, IMAGE_CHANNEL, channel_of, models_on
from .names import PUBLISHED_ROUTES, ROUTE_NAMES, OtherType, check_name
from .place_and_time import PlaceAndTime
from .request import Request
from .sweep import Process, VideoSweep
from .task_table import TaskTable
from .tasks import StoredTask
from .timeline import LOG_STATUSES, Stage, StatusTimeline
from .uploads import Asset

REFUSED: Final = "The provider refused the prompt."


class Service(PlaceAndTime):
    """The emulator without its sockets. `Emulator` adds those, and documents the arguments.

    All methods can be called while it runs, from the event loop it runs in.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "emulator-key",
        dialect: Literal["published", "observed"] = "observed",
        routes: Collection[str] | None = None,
        channel: str | None = None,
        date: datetime | None = None,
        sweep: float | None = None,
        seconds_per_video: float = 0.003,
        seconds_per_answer: float = 0.0,
    ) -> None:
        super().__init__(host, port, date)
        check_name("dialect", dialect, ("observed", "published"))
        if channel is not None:
            check_name("channel", channel, CHANNELS)
        _check_seconds(sweep, seconds_per_video, seconds_per_answer)
        # Whether it follows the vendor's contract word for word, or does as a real server does.
        self.is_published: bool = dialect == "published"
        default = PUBLISHED_ROUTES if self.is_published else ROUTE_NAMES
        self.routes: set[str] = set(default if routes is None else routes)
        for route in self.routes:
            check_name("route", route, ROUTE_NAMES)
        self.requests: list[Request] = []
        self.created: list[AnyRef] = []
        self.groups: set[str] = set()
        self.media_rows: list[VideoRef] = []
        self.provider_calls: Counter[AnyRef | None] = Counter()
        self.models: dict[str, list[dict[str, Any]]] = models_on(channel)
        self.process: Process = Process(seconds_per_answer)
        self.assets: dict[str, Asset] = {}
        self.accounts: dict[str, str] = {}
        self._api_key = api_key
        self._account(api_key)
        self.upload_limit: int | None = None
        self.tasks: TaskTable = TaskTable()
        self.faults: FaultQueues = FaultQueues()
        self._timelines: dict[tuple[str, str | None], tuple[str | Stage, ...]] = {}
        self._sweep: VideoSweep | None = None
        if sweep is not None:
            videos = partial(self.tasks.of_kind, VideoRef)
            self._sweep = VideoSweep(sweep, seconds_per_video, self.process, videos)

    @property
    def api_key(self) -> str:
        """The key that requests must carry. Each other key is an account of its own."""
        return self._api_key

    def advance(self) -> None:
        """Let the sweep do what it would have done until now."""
        if self._sweep is not None:
            self._sweep.advance(self.now())

    def add_image(
        self,
        *timeline: str | Stage,
        id: str | None = None,
        request: Mapping[str, Any] | None = None,
        images: Sequence[str | Mapping[str, Any]] | None = None,
        points: float = 1,
        error_message: str = REFUSED,
        fields: Mapping[str, Any] | None = None,
        api_key: str | None = None,
    ) -> ImageRef:
        """Add an image task. Its timeline starts now.

        Args:
            timeline: `(word, seconds)`..., word. Default: `("generating", 2.0), "success"`.
            id: Its id; default: a fresh one of 24 hex digits.
            request: The submitted body, echoed in every answer.
            images: The results: URLs, or objects like those of `images[]`; an empty list: none.
                Default: a small PNG, which the emulator serves.
            points: The price, in credits. Only the published dialect says it.
            error_message: The reason of its failure, if it fails.
            fields: JSON fields laid over each of its own answers, in the service's own
                spelling; `msgspec.UNSET` leaves one out.
            api_key: The key of the account it belongs to, which is made if there is none.

        Returns:
            The ref to ask for.

        Raises:
            ValueError: The id is taken or not one, the key is empty, the timeline is malformed,
                or it uses words the published dialect does not have.
            RuntimeError: No event loop is running, or not the one the emulator listens on.
        """
        ref = ImageRef(self.fresh_id() if id is None else id)
        body = {"model": "gpt-image-2", "prompt": "a cat"} if request is None else request
        given: list[Mapping[str, Any]] | None = None
        if images is not None:
            given = [{"url": each} if isinstance(each, str) else each for each in images]
        cost = {"points": points} if self.is_published else {}
        self._add(
            ref,
            timeline or (("generating", 2.0), "success"),
            api_key,
            model=str(body.get("model", "gpt-image-2")),
            channel=IMAGE_CHANNEL,
            content={**cost, "request": body},
            request=body,
            result=lambda: self._image_result(ref, given),
            failure=error_message,
            fields=fields or {},
        )
        return ref

    def _image_result(
        self, ref: ImageRef, given: Sequence[Mapping[str, Any]] | None
    ) -> dict[str, Any]:
        """Return the fields of a success: the given images, or as many as the request wants."""
        task = self.tasks[ref]
        if given is not None:
            in_response, in_images = given, given
        else:
            wanted = task.request.get("n", 1)
            count = wanted if isinstance(wanted, int) else 1
            paths = [media.path_of(ref, number) for number in range(1, count + 1)]
            in_response = [{"url": path.removeprefix("/")} for path in paths]
            in_images = [{"url": self.url + path} for path in paths]
        created = int(self.date(task.created).timestamp())
        return {"response": {"created": created, "list": in_response}, "images": in_images}

    def add_video(
        self,
        *timeline: str | Stage,
        id: str | None = None,
        model: str = "sora-2",
        input: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
        video_url: str | None = None,
        error_message: str = REFUSED,
        fields: Mapping[str, Any] | None = None,
        api_key: str | None = None,
    ) -> VideoRef:
        """Add a video task. Its timeline starts now.

        Args:
            timeline: `(word, seconds)`..., word. Default: `("InProgress", 2.0), "SUCCESS"`.
                With a sweep these are the statuses at the provider: the service has each of
                them from its next look there.
            id: Its id; default: a fresh one of 24 hex digits.
            model: The model that makes it.
            input: The part of the request that every answer echoes (`input`).
            request: The submitted body, which the drafts' routes show; default: as `input`.
            video_url: The result. Default: a small MP4, which the emulator serves.
            error_message: The reason of its failure, if it fails.
            fields: JSON fields laid over each of its own answers, in the service's own
                spelling; `msgspec.UNSET` leaves one out.
            api_key: The key of the account it belongs to, which is made if there is none.

        Returns:
            The ref to ask for.

        Raises:
            ValueError: The id is taken or not one, the key is empty, or the timeline is
                malformed.
            RuntimeError: No event loop is running, or not the one the emulator listens on.
        """
        ref = VideoRef(self.fresh_id() if id is None else id)
        echoed = {"prompt": "a cat"} if input is None else input
        self._add(
            ref,
            timeline or (("InProgress", 2.0), "SUCCESS"),
            api_key,
            model=model,
            channel=channel_of(model, self.models),
            content={"input": echoed},
            request={"model": model, **echoed} if request is None else request,
            result=lambda: {"videoUrl": self.media_url(ref) if video_url is None else video_url},
            failure=error_message,
            fields=fields or {},
            provider_id=f"provider-{ref.id}",
        )
        return ref

    def add_log(
        self,
        type: str,
        status: str = "success",
        *,
        model: str = "gpt-5.5",
        channel: str = "openai",
        api_key: str | None = None,
    ) -> str:
        """Add a row to the logs that is of neither an image nor a video, such as a chat.

        Args:
            type: The row's type, one of `agent`, `aideo`, `card`, `chat`, `crawler`,
                `draft-generation`, `style-transfer`, `video-edit`.
            status: `generating`, `success` or `failed`.
            model: The model that did the work.
            channel: The provider that its model is reached through.
            api_key: The key of the account it belongs to, which is made if there is none.

        Returns:
            Its id, which no route for tasks knows.

        Raises:
            ValueError: There is no such type or status, or the key is empty.
            RuntimeError: No event loop is running, or not the one the emulator listens on.
        """
        check_name("type", type, get_args(OtherType))
        check_name("status", status, LOG_STATUSES)
        ref, timeline = ImageRef(self.fresh_id()), StatusTimeline([status])
        account = self._account(api_key)
        row = StoredTask(ref, timeline, self.now(), account, model, channel, type=type)
        self.tasks.add(row)
        return ref.id

    def _add(
        self, ref: AnyRef, stages: Sequence[str | Stage], api_key: str | None, **facts: Any
    ) -> None:
        now, timeline = self.now(), StatusTimeline(stages)
        if self.tasks.get(ref) is not None:
            raise ValueError(f"there is a task {ref} already")
        self._check_words(ref.kind, *timeline.words)
        account = self._account(api_key)
        task = StoredTask(ref, timeline, created=now, account=account, **facts)
        epoch = self.epoch(now)
        if self._sweep is not None:
            self._sweep.start(now, epoch)
            task.looked_at = now if isinstance(ref, VideoRef) else None
        self.tasks.add(task)
        self.provider_calls[ref] += 1

    def script(
        self,
        kind: Literal["image", "video"],
        *timeline: str | Stage,
        model: str | None = None,
    ) -> None:
        """Give the tasks that submits create from now on this timeline.

        Args:
            kind: The kind of task.
            timeline: `(word, seconds)`..., word; none: that of `add_image` or `add_video`. The
                seconds may be a function without arguments, which is called for each task, so
                that a model takes some time of its own: `("InProgress", lambda: gauss(60, 9))`.
            model: Only tasks of this model; `None`: those of all models without their own.

        Raises:
            ValueError: The kind is unknown, the timeline is malformed, or it uses words the
                published dialect does not have.
        """
        if kind not in ("image", "video"):
            raise ValueError(f"a kind is 'image' or 'video', not {kind!r}")
        if timeline:
            self._check_words(kind, *StatusTimeline(timeline).words)
        self._timelines[kind, model] = timeline

    def scripted(self, kind: str, model: str) -> tuple[str | Stage, ...]:
        """Return the timeline for a submit of this kind and model."""
        return self._timelines.get((kind, model), self._timelines.get((kind, None), ()))

    def spoil_row(
        self, ref: AnyRef, code: int | None = UNKNOWN_TASK, *, in_logs: bool = False
    ) -> None:
        """Let answers about a task fail, and each page of the video list that it stands on.

        The service does so with tasks whose result was never stored (12302), and with rows
        that its own schema rejects (500). In the logs such a task is a row like others.

        Args:
            ref: The task.
            code: The code they fail with; `None`: they do not fail.
            in_logs: Let each page of the logs that it stands on fail with 500 too.

        Raises:
            KeyError: There is no such task.
            ValueError: The code is 0.
        """
        if code == 0:
            raise ValueError("code 0 means success")
        task = self.tasks[ref]
        task.failing_code, task.failing_in_logs = code, in_logs

    def set_status(self, ref: AnyRef, word: str) -> None:
        """Give a task this status from now on, whatever its timeline says.

        Raises:
            KeyError: There is no such task.
            ValueError: The published dialect does not have this word.
        """
        task, now = self.tasks[ref], self.now()
        self._check_words(ref.kind, word)
        self.advance()
        task.is_cut_off = False
        task.timeline.cut(now - task.created, word)
        if task.looked_at is not None:
            task.looked_at = now

    def stop_sweep_at(self, ref: VideoRef, *, stops: bool = True) -> None:
        """Let each run of the sweep end at this video, since its provider's answer makes it fail.

        All older videos, of all accounts, stay as they are until it stops doing so.

        Args:
            ref: The video.
            stops: Whether it does so from now on.

        Raises:
            KeyError: There is no such task.
        """
        self.advance()
        self.tasks[ref].stops_sweep = stops

    def remove(self, ref: AnyRef) -> None:
        """Forget a task, as if it had never been.

        Raises:
            KeyError: There is no such task.
        """
        self.advance()
        del self.provider_calls[self.tasks[ref].ref]
        self.tasks.remove(ref)

    def media_url(self, ref: AnyRef, number: int = 1) -> str:
        """Return the address of a file that a task makes. It is served once the task succeeds.

        Args:
            ref: The task.
            number: Which of its images; each number has a picture of its own.
        """
        return self.url + media.path_of(ref, number)

    def set_media(self, ref: AnyRef, content: bytes, number: int = 1) -> None:
        """Replace a file of a task, which is a small picture or film otherwise.

        Raises:
            KeyError: There is no such task.
        """
        self.tasks[ref].files[number] = content

    def fault(
        self,
        fault: Fault,
        ref: AnyRef | None = None,
        times: int | None = 1,
        *,
        media: bool = False,
        route: str | None = None,
    ) -> None:
        """Let requests meet a fault.

        Faults queue up. Those for a task come first, then those for a route, then those for any
        request.

        Args:
            fault: The fault.
            ref: Only requests for this task meet it; `None`: any request does.
            times: The number of requests that meet it; `None`: all until `clear_faults`.
            media: Requests for files meet it, uploads among them, and not those to the API.
                The service's own words (`code`, `echo`) do nothing to a file.
            route: Only requests to this route meet it, by its name as in `Emulator(routes=...)`.

        Raises:
            ValueError: `times` is less than 1, `route` is unknown, or no request meets it.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is 1 or more, or None, not {times!r}")
        if route is not None:
            check_name("route", route, ROUTE_NAMES)
        if route is not None and (media or (ref is not None and route != ref.kind)):
            whose = "files" if media else f"the task {ref}"
            raise ValueError(f"no request for {whose} comes to the route {route!r}")
        self.faults.add(fault, (None if ref is None else key_of(ref), route, media), times)

    def clear_faults(self) -> None:
        """Forget all faults. Answers that stall already go on stalling."""
        self.faults.clear()

    def _account(self, api_key: str | None) -> str:
        """Return the id of the account of a key, which is made if there is none."""
        key = self._api_key if api_key is None else api_key
        if not key:
            raise ValueError("the key must not be empty")
        return self.accounts.setdefault(key, f"65a0{len(self.accounts) + 1:020x}")

    def fresh_id(self) -> str:
        """Return an id for a new row."""
        return object_id(self.date(self.now()))

    def _check_words(self, kind: str, *words: str) -> None:
        if self.is_published and kind == "image":
            for word in words:
                check_name("published image status", word, LOG_STATUSES)


def _check_seconds(sweep: float | None, *others: float) -> None:
    if sweep is not None and not sweep > 0:
        raise ValueError(f"sweep is a number of seconds, more than 0, or None, not {sweep!r}")
    for seconds in others:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"a number of seconds is finite, and 0 or more, not {seconds!r}")
