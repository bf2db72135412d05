"""The emulator: a real HTTP server on real sockets, with scripted tasks and faults.

The public object, the listening and the waiting. The answers are decided in `answers`; `wire`
gets them onto the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Self

from aiohttp import web

from aitoearn_async import AnyRef, ImageRef

from . import answers, media, routes, wire
from .identifiers import key_of
from .request import Request, masked
from .service import Service
from .tasks import StoredTask

_GRACE: Final = 0.1
"""Seconds for which closing waits for a client that does not read its answer."""
_MEDIA_ROW_SECONDS: Final = 0.2
"""Seconds that the first answer about a finished video takes to make its media row."""
_STALLED_JOB_SECONDS: Final = 60.0
"""Seconds after a restart at which the jobs that a crash has cut off are run again."""

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Emulator(Service):
    """A server on this machine that answers like the service, about tasks a test makes up.

        async with Emulator() as service:
            ref = service.add_image(("generating", 2.0), "success")
            async with Client(service.api_key, base_url=service.url) as client:
                image = await client.wait_for(ref)

    It runs in the event loop it is started in. All times are seconds on that loop's clock,
    so on a `VirtualTimeLoop` they cost nothing.

    A *timeline* is any number of `(word, seconds)` and then the word that stays for ever. It
    starts when the task is added. Once the word is one of success or failure the answers
    carry what then belongs there.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0: a free one.
        api_key: The key that requests must carry in `X-Api-Key`.
        dialect: `"published"`: the vendor's contract to the letter. `"observed"`: what real
            servers send, where it differs: no `points`, 404 for unknown images, ETag and 304.
        routes: The names of the routes it answers, of `image`, `video`, `videos`, `models`,
            `submits`, `logs`, `drafts`, `volcengine`, `uploads`. A route that is not among
            them is answered with code 404, as by a service that is too old to have it.
            Default: all; in the published dialect without the last four.
        channel: The provider of all video models, one of `dashscope`, `grok`, `openai`,
            `relay`, `volcengine`; default: each model has its own. The channels treat files
            in a request differently.
        date: The service's date when it is first asked or given something; default: this
            machine's. It runs on with the loop's clock. One without a zone is taken for UTC.
        sweep: The seconds between two looks at the running videos, taken at multiples of it on
            the service's clock; the service's own figure is 30. `None`: an end shows at once.
        seconds_per_video: The time that the sweep takes for each running video, newest first.
        seconds_per_answer: The time that the service's one process needs for a plain answer;
            a page takes longer. Answers and the looks of the sweep wait for each other. The
            vendor's own server needs 0.007.

    Attributes:
        requests: Every request received so far, oldest first, for tests to count.
        created: The tasks that submits created so far, oldest first.
        groups: The ids of media groups that a submit may name; there are none.
        models: The lists of models by their paths, in the service's own spelling, to be changed
            at any time. They say no price: give one a `pricing` to try `at_most=`.
        upload_limit: The size in bytes past which no file is signed for (code 12752); `None`:
            any is.
        routes: The names of the routes it answers, to be changed at any time.
        media_rows: The finished videos for which an answer has made a media row. The service
            makes one with the first answer about a finished video of a group, and one more
            for each request that comes before it is done.
        provider_calls: The number of calls of the provider for each task; under `None` those
            for videos whose row was too large to be stored.

    Raises:
        ValueError: The key is empty, a number of seconds makes no sense, or the dialect, the
            channel or a route is unknown.
    """

    _servers: tuple[tuple[asyncio.Server, web.Server], ...] = ()
    _closing: asyncio.Event

    async def start(self) -> None:
        """Listen. Does nothing if it does already; after `aclose` it is back on its ports.

        Raises:
            OSError: An address cannot be had.
        """
        async with self._starting:  # the second of two calls finds that it listens
            if self._servers:
                return
            self._closing = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            try:
                await self._listen(0, self._handle)
                await self._listen(1, partial(self._serve, ref=None, is_file=True))
            except BaseException:
                await self.aclose()
                raise
            for task in self.tasks.of_kind(ImageRef):
                if task.is_cut_off:
                    task.is_cut_off = False
                    self._run_again(task)

    def _run_again(self, task: StoredTask) -> None:
        """Begin the job of a task once more; give it up if it was cut off before."""
        if self.provider_calls[task.ref] > 1:
            task.timeline.restart(math.inf)
        else:
            task.timeline.restart(self.now() + _STALLED_JOB_SECONDS - task.created)
            self.provider_calls[task.ref] += 1

    async def _listen(self, number: int, handler: _Handler) -> None:
        protocol = web.Server(
            handler,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=wire.KEEP_ALIVE,
        )
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(protocol, self._host, self._ports[number], backlog=1024)
        self._ports[number] = listener.sockets[0].getsockname()[1]
        self._servers += ((listener, protocol),)

    async def aclose(self) -> None:
        """Stop listening and end all connections, stalled ones too. Tasks are kept."""
        servers, self._servers = self._servers, ()
        if servers:
            self._closing.set()
        async with contextlib.AsyncExitStack() as stack:  # all of them, even if it is cancelled
            for server in reversed(servers):
                stack.push_async_callback(_close, *server)

    async def crash(self) -> None:
        """Die as the service does when it is killed: connections end, and jobs are cut off.

        After the next `start` the images that were being made are begun once more, a minute
        later, and the provider is called for them a second time. One that is cut off again then
        stays as it is for ever. Videos go on: they are made elsewhere.
        """
        now = self.now()
        for task in self.tasks.of_kind(ImageRef):
            task.is_cut_off |= task.running(now)
        for _, protocol in self._servers:
            for connection in protocol.connections:
                if connection.transport is not None:
                    wire.reset(connection.transport)
        await self.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        where = self._origin(self._ports[0]) if self._servers else "not running"
        return f"<Emulator {where}, {len(self.tasks)} tasks, {len(self.requests)} requests>"

    async def _handle(self, call: web.BaseRequest) -> web.StreamResponse:
        path = call.raw_path.partition("?")[0]
        if path.startswith(media.PREFIX):
            place = media.place_of(call.path)
            return await self._serve(call, place[0] if place else None, is_file=True)
        found = routes.find(call.method, path)
        if found is None:
            return await self._serve(call, None)
        return await self._serve(call, routes.ref_of(*found), found[0].name)

    async def _serve(
        self,
        call: web.BaseRequest,
        ref: AnyRef | None,
        route: str | None = None,
        *,
        is_file: bool = False,
    ) -> web.StreamResponse:
        at, headers, body = self.now(), masked(call.headers), b""
        fault = self.faults.take(ref and key_of(ref), route, media=is_file)
        try:
            if call.can_read_body and not (fault is not None and fault.interrupts):
                body = await _body_of(call)
        finally:  # the client may leave in the middle of it
            request = Request(call.method, call.raw_path, headers, at, ref, body, is_file, route)
            self.requests.append(request)
        try:
            if fault is not None and fault.delay:
                await self._pause(fault.delay)
            self.advance()
            if not request.media:
                await self._take_time(request)
        except asyncio.CancelledError:
            if not self._closing.is_set():  # the client has left, but its request counts
                answers.answer(self, request, fault)
            raise
        answer = answers.answer(self, request, fault)
        if fault is None:
            return wire.respond(answer)
        answer = wire.apply_fault(answer, fault)
        if fault.stall == "body":
            wire.begin(call, answer)
        if fault.stall is not None:
            await self._closing.wait()
        return wire.broken(call, answer, fault) or wire.respond(answer)

    async def _take_time(self, request: Request) -> None:
        """Wait for the service's process, and for the media rows that the answer makes."""
        if self.process.seconds_per_answer:
            now = self.now()
            done = self.process.run(now, answers.weight(self, request))
            await self._pause(done - now)
            self.advance()
        videos = answers.videos_without_media_row(self, request)
        if videos:
            try:
                await self._pause(_MEDIA_ROW_SECONDS)
            finally:  # the client may have left
                for task in videos:
                    answers.make_media_row(self, task)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()


async def _body_of(call: web.BaseRequest) -> bytes:
    if call.headers.get("Expect", "").lower() == "100-continue" and call.transport is not None:
        call.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await call.content.read()


async def _close(listener: asyncio.Server, protocol: web.Server) -> None:
    try:
        await _stop_accepting(listener)
    finally:
        listener.close()
        protocol.pre_shutdown()
        await protocol.shutdown(_GRACE)
    await listener.wait_closed()


async def _stop_accepting(listener: asyncio.Server) -> None:
    """Let connections under way arrive: a server closed before that loses them, loudly."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows' own loop, which has no readers
        for listening in listener.sockets:
            loop.remove_reader(listening.fileno())
    # From accept to the protocol it is two rounds of the loop.
    for _ in range(3):
        await asyncio.sleep(0)
