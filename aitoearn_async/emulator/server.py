"""The emulator: a real HTTP server on a real socket, with scripted tasks and faults.

The public object, the listening and the waiting. What is answered is decided in `desk`, how
it gets onto the socket stands in `wire`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

from aiohttp import web

from aitoearn_async import AnyRef, ImageRef, VideoRef

from . import shelf, wire
from .desk import Desk, Request, asked_for
from .dialects import DIALECTS, Row
from .faults import Fault
from .lives import Life, Stage
from .submits import images_made, video_input

_GRACE: Final = 0.1
"""Seconds for which closing waits for a client that does not read its answer."""


class Emulator:
    """A server on this machine that answers like the service, about tasks a test makes up.

        async with Emulator() as service:
            ref = service.add_image(("generating", 2.0), "success")
            async with Client(service.api_key, base_url=service.url) as client:
                image = await client.wait_for(ref)

    It runs in the event loop it is started in. All times are seconds on that loop's clock,
    so on a `VirtualTimeLoop` they cost nothing.

    A *life* is any number of `(word, seconds)` and then the word that stays for ever. It
    starts when the task is added. Once the word is one of success or failure the answers
    carry what then belongs there.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0: a free one.
        api_key: The key that requests must carry in `X-Api-Key`.
        dialect: `"published"`: the vendor's contract to the letter. `"observed"`: what real
            servers send, where it differs: no `points`, 404 for unknown images, ETag and 304.

    Attributes:
        requests: Every request received so far, oldest first, for tests to count.
        created: The tasks that submits created so far, oldest first.
        groups: The ids of media groups that a submit may name; there are none.

    Raises:
        ValueError: The key is empty or the dialect unknown.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "emulator-key",
        dialect: Literal["published", "observed"] = "observed",
    ) -> None:
        if not api_key:
            raise ValueError("the key must not be empty")
        if dialect not in DIALECTS:
            raise ValueError(f"no dialect {dialect!r}: take one of {', '.join(DIALECTS)}")
        self.requests: list[Request] = []
        self.created: list[AnyRef] = []
        self._host = host
        self._port = port
        self._desk = Desk(DIALECTS[dialect], api_key, self._create)
        self.groups: set[str] = self._desk.groups
        self._lives: dict[str, tuple[str | Stage, ...]] = {"image": (), "video": ()}
        self._listener: asyncio.Server | None = None
        self._protocol: web.Server | None = None
        self._closing = asyncio.Event()

    @property
    def api_key(self) -> str:
        """The key that requests must carry."""
        return self._desk.api_key

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash. It stays the same over a restart.

        Raises:
            RuntimeError: It has never been started.
        """
        if not self._port:
            raise RuntimeError("the emulator has no address before it is started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen. Does nothing if it does already; after `aclose` it is back on its port.

        Raises:
            OSError: The address cannot be had.
        """
        if self._listener is not None:
            return
        self._closing = asyncio.Event()
        self._protocol = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=wire.KEEP_ALIVE,
        )
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._protocol, self._host, self._port, backlog=1024
        )
        self._port = self._listener.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening and end all connections, stalled ones too. Tasks are kept."""
        if self._listener is None or self._protocol is None:
            return
        listener, self._listener = self._listener, None
        self._closing.set()
        await _stop_accepting(listener)
        listener.close()
        self._protocol.pre_shutdown()
        await self._protocol.shutdown(_GRACE)
        await listener.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        where = self.url if self._listener is not None else "not running"
        return f"<Emulator {where}, {len(self._desk)} tasks, {len(self.requests)} requests>"

    def add_image(
        self,
        *life: str | Stage,
        id: str | None = None,
        request: Mapping[str, Any] | None = None,
        images: Sequence[str | Mapping[str, Any]] | None = None,
        points: float = 1,
        error_message: str = "The provider refused the prompt.",
        fields: Mapping[str, Any] | None = None,
    ) -> ImageRef:
        """Add an image task. Its life starts now.

        Args:
            life: `(word, seconds)`..., word. Default: `("generating", 2.0), "success"`.
            id: Its id; default: a fresh one of 24 hex digits.
            request: The submitted body, echoed in every answer.
            images: What it makes: URLs, or objects like those of `images[]`. Default: a small
                PNG, which the emulator serves.
            points: What it costs, in credits. Only the published dialect says so.
            error_message: Why it fails, if it does.
            fields: JSON fields laid over each answer, in the service's own spelling;
                `msgspec.UNSET` leaves one out.

        Returns:
            The ref to ask for.

        Raises:
            ValueError: The id is taken or not one, the life is malformed, or it uses words
                the published dialect does not have.
            RuntimeError: No event loop is running.
        """
        ref = ImageRef(id or self._desk.fresh_id())
        given = [{"url": image} if isinstance(image, str) else image for image in images or ()]

        def made() -> dict[str, Any]:
            images = given or [{"url": self.media_url(ref)}]
            return {"response": {"list": images}, "images": images}

        body = {"model": "gpt-image-2", "prompt": "a cat"} if request is None else request
        cost = {"points": points} if self._desk.dialect.points else {}
        self._desk.add(
            Row(
                ref=ref,
                life=Life(life or (("generating", 2.0), "success")),
                born=_now(),
                content={**cost, "request": body},
                made=made,
                refused={"errorMessage": error_message},
                overlay=fields or {},
            )
        )
        return ref

    def add_video(
        self,
        *life: str | Stage,
        id: str | None = None,
        model: str = "sora-2",
        input: Mapping[str, Any] | None = None,
        video_url: str | None = None,
        error_message: str = "The provider refused the prompt.",
        fields: Mapping[str, Any] | None = None,
    ) -> VideoRef:
        """Add a video task. Its life starts now.

        Args:
            life: `(word, seconds)`..., word. Default: `("InProgress", 2.0), "SUCCESS"`.
            id: Its id; default: a fresh one of 24 hex digits.
            model: The model that makes it.
            input: What was asked for, echoed in every answer.
            video_url: What it makes. Default: a small MP4, which the emulator serves.
            error_message: Why it fails, if it does.
            fields: JSON fields laid over each answer, in the service's own spelling;
                `msgspec.UNSET` leaves one out.

        Returns:
            The ref to ask for.

        Raises:
            ValueError: The id is taken or not one, or the life is malformed.
            RuntimeError: No event loop is running.
        """
        ref = VideoRef(id or self._desk.fresh_id())
        self._desk.add(
            Row(
                ref=ref,
                life=Life(life or (("InProgress", 2.0), "SUCCESS")),
                born=_now(),
                content={"model": model, "input": {"prompt": "a cat"} if input is None else input},
                made=lambda: {"videoUrl": video_url or self.media_url(ref)},
                refused={"error": {"message": error_message}},
                overlay=fields or {},
            )
        )
        return ref

    def script(self, kind: Literal["image", "video"], *life: str | Stage) -> None:
        """Let the tasks that submits create from now on have this life.

        Without a life they have that of `add_image` or `add_video`.

        Raises:
            ValueError: The kind is unknown, or the life is malformed.
        """
        if kind not in self._lives:
            raise ValueError(f"a kind is 'image' or 'video', not {kind!r}")
        if life:
            Life(life)
        self._lives[kind] = life

    def spoil_row(self, ref: AnyRef, code: int | None = 12302) -> None:
        """Let a task fail whatever it stands in: its own answers, and each page of the list.

        The service does so with tasks whose result was never stored (12302), and with rows
        that its own schema rejects (500).

        Args:
            ref: The task.
            code: The code it fails with; `None`: it does not.

        Raises:
            KeyError: There is no such task.
        """
        self._desk.spoil_row(ref, code)

    def set_status(self, ref: AnyRef, word: str) -> None:
        """Let a task have this status from now on, whatever its life had in store.

        Raises:
            KeyError: There is no such task.
            ValueError: The published dialect does not have this word.
        """
        self._desk.set_status(ref, word, _now())

    def remove(self, ref: AnyRef) -> None:
        """Forget a task, as if it had never been.

        Raises:
            KeyError: There is no such task.
        """
        self._desk.remove(ref)

    def media_url(self, ref: AnyRef, number: int = 1) -> str:
        """Where the emulator serves a file that a task has made, from its success on.

        Args:
            ref: The task.
            number: Which of its images; each number has a picture of its own.
        """
        return self.url + shelf.address_of(ref, number)

    def set_media(self, ref: AnyRef, content: bytes, number: int = 1) -> None:
        """Let a file of a task be this from now on, in place of a small picture or film.

        Raises:
            KeyError: There is no such task.
        """
        self._desk.set_media(ref, number, content)

    def fault(
        self,
        fault: Fault,
        ref: AnyRef | None = None,
        times: int | None = 1,
        *,
        media: bool = False,
    ) -> None:
        """Let requests meet a fault. Faults queue up; those of a task come before the rest.

        Args:
            fault: What goes wrong.
            ref: Only requests for this task meet it; `None`: any request does.
            times: How many requests meet it; `None`: all until `clear_faults`.
            media: Requests for files meet it, and not those for tasks. What the service says
                in its own words (`code`, `echo`) does nothing to a file.

        Raises:
            ValueError: `times` is less than 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is 1 or more, or None, not {times!r}")
        self._desk.add_fault(fault, ref, times, media=media)

    def clear_faults(self) -> None:
        """Forget all faults. What already stalls goes on stalling."""
        self._desk.clear_faults()

    def _create(self, kind: type[AnyRef], fields: Mapping[str, Any]) -> AnyRef:
        ref: AnyRef
        if kind is ImageRef:
            id = self._desk.fresh_id()
            images = images_made(fields, ImageRef(id), self.media_url)
            ref = self.add_image(*self._lives["image"], id=id, request=fields, images=images)
        else:
            about = video_input(fields)
            ref = self.add_video(*self._lives["video"], model=fields["model"], input=about)
        self.created.append(ref)
        return ref

    async def _handle(self, call: web.BaseRequest) -> web.StreamResponse:
        ref, media = asked_for(call.path)
        request = Request(call.method, call.raw_path, call.headers, _now(), ref, media=media)
        fault = self._desk.take_fault(request)
        if call.method == "POST" and not (fault is not None and fault.interrupts):
            request = dataclasses.replace(request, body=await _body_of(call))
        self.requests.append(request)
        if fault is not None and fault.delay:
            await self._pause(fault.delay)
        answer = self._desk.answer(request, fault, _now())
        if fault is None:
            return wire.respond(answer)
        answer = wire.spoil(answer, fault)
        if fault.stall == "body":
            wire.begin(call, answer)
        if fault.stall is not None:
            await self._closing.wait()
        return wire.broken(answer, fault) or wire.respond(answer)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()


async def _body_of(call: web.BaseRequest) -> bytes:
    if call.headers.get("Expect", "").lower() == "100-continue" and call.transport is not None:
        call.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await call.content.read()


async def _stop_accepting(listener: asyncio.Server) -> None:
    """Let connections under way arrive: a server closed before that loses them, loudly."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows' own loop, which has no readers
        for listening in listener.sockets:
            loop.remove_reader(listening.fileno())
    # From accept to the protocol it is two rounds of the loop.
    for _ in range(3):
        await asyncio.sleep(0)


def _now() -> float:
    return asyncio.get_running_loop().time()
