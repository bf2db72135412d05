"""Client, the one object a user holds: its calls, and what they promise.

It checks arguments and hands them on to the parts of `_assembly`. It has no rules of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Never, NoReturn, TypeVar, overload

from ._arguments import (
    amount,
    checked_page_size,
    count,
    folder,
    hooks,
    not_async,
    positive,
    private_media_allowed,
    rate,
    refuse_unknown,
    saving,
    strategy,
    time_limit,
    upload_mode,
    uploadable,
    wait_limits,
)
from ._polling.awaitables import call, coroutine_function
from ._polling.cadence.rhythm import Rhythm
from ._polling.cadence.schedule import WaitStrategy
from ._polling.single.waiter import Waiter
from ._runtime.lifetime import Lifetime
from ._waits import Waits, naming
from .contract.catalog import EditModel, ImageModel, VideoModel
from .contract.endpoints import EDIT_MODELS, IMAGE_MODELS, VIDEO_MODELS, ref_of
from .contract.kinds import AnyRef, AnyTask
from .contract.requests import TaskRequest
from .contract.tasks import Task, TaskRef

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import ClientSession

    from ._api.image_list import ImageList
    from ._api.statistics import ClientStatistics
    from ._api.video_list import SkippedVideo, VideoList
    from ._polling.batch.batch import Batch
    from ._polling.batch.outcome import Outcome
    from ._polling.batch.statistics import BatchStatistics
    from ._polling.wait.resume import Resume
    from .telemetry import Observer

T = TypeVar("T", bound=Task)
R = TypeVar("R", bound=TaskRef[Any])


class Client:
    """A connection to AiToEarn, for one event loop at a time.

    It moves to another loop when the last one is closed and no call is under way, as between two
    `asyncio.run`; a `session` of yours does not move.

    Use it as `async with Client() as client:`, or call `aclose()` when done.

    Args:
        api_key: The key (`X-Api-Key`), or an async function that gives it. The function is called
            before the first request, and when the service refuses the last key; once for all
            requests. Default: the environment variable `AITOEARN_API_KEY`.
        base_url: The service's address: `INTERNATIONAL`, `CHINA`, or a server of your own.
            Default: the environment variable `AITOEARN_BASE_URL`, else `INTERNATIONAL`.
        session: A session of yours to send with. It is used as it is and left open; what it
            adds to requests (headers, cookies, a proxy) is added to these too.
        language: The language of the service's messages (`Accept-Language`): `"zh-CN"` for Chinese.
        request_timeout: Seconds for one request, from its start on the wire.
        attempts: The most requests for one question, where it meets transient trouble; a submit is
            repeated only where it was not taken. Waits have their `patience` instead.
        concurrency: Requests under way at the same time; with a `session` of yours no more than
            it may have connections.
        requests_per_second: Most requests to begin in a second, evenly spaced; None for no
            limit.
        wait: The delays between polls of every wait that brings none of its own: any
            tenacity wait strategy. Default: a backoff for each kind of task, and what has
            been learned of how long such tasks take.
        rhythm: The result of an earlier client's `rhythm()`: what it has learned.
        proxy: The address of an HTTP proxy.
        ssl: An `ssl.SSLContext` to verify the service with; False verifies nothing.
        user_agent: What to call yourself (`User-Agent`).
        trust_env: Use the proxy that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
        private_media: Whether `download` and `save=` may fetch files from internal networks, such
            as that of a storage of your own; or the hosts, addresses and ranges that are allowed:
            `["media.example.org", "10.20.0.0/16"]`. Otherwise nothing in an internal network is
            connected to, whatever a task, a redirect or a name server says. Default: the
            environment variable `AITOEARN_PRIVATE_MEDIA`, `1`, `0` or such a list with commas, else
            False.
        max_response_bytes: The decoded size past which a response is given up. The service echoes
            submitted images with every response, so leave room.
        telemetry: The observer, or observers, to tell of waits, submits, downloads and the circuit
            breaker: those of `aitoearn_async.telemetry`, such as `OpenTelemetry()`. Default: those
            that the environment variable `AITOEARN_TELEMETRY` names, else none.

    Raises:
        ValueError: An argument, or the environment's key or address, cannot be used.
    """

    def __init__(
        self,
        api_key: str | Callable[[], Awaitable[str]] | None = None,
        *,
        base_url: str | None = None,
        session: ClientSession | None = None,
        language: str | None = None,
        request_timeout: float | timedelta = 30.0,
        attempts: int = 3,
        concurrency: int = 64,
        requests_per_second: float | None = None,
        wait: WaitStrategy | None = None,
        rhythm: bytes | str | None = None,
        proxy: str | None = None,
        ssl: SSLContext | bool | None = None,
        user_agent: str | None = None,
        trust_env: bool = False,
        private_media: bool | str | Iterable[str] | None = None,
        max_response_bytes: int = 67_108_864,
        telemetry: Observer | Iterable[Observer] | None = None,
        **unknown: Never,
    ) -> None:
        lifetime = Lifetime()
        try:
            refuse_unknown([*unknown])
            seconds = positive("request_timeout", request_timeout)
            # Imported with the first client: aiohttp takes longer to load than all the rest.
            from ._assembly import assemble, secrets_of

            secrets = secrets_of(api_key, proxy, lifetime, seconds)
        finally:  # whatever is raised, a traceback that shows locals shows no secret
            del api_key, proxy, unknown
        if isinstance(secrets, ValueError):
            raise secrets
        self._rhythm = Rhythm(rhythm)
        self._parts = assemble(
            secrets,
            lifetime,
            base_url=base_url,
            session=session,
            language=language,
            request_timeout=seconds,
            attempts=count("attempts", attempts),
            concurrency=count("concurrency", concurrency),
            requests_per_second=rate(requests_per_second),
            ssl=ssl,
            user_agent=user_agent,
            trust_env=trust_env,
            private_media=private_media_allowed(private_media),
            max_response_bytes=count("max_response_bytes", max_response_bytes),
            clock=self._rhythm.clock,
        )
        self._wait = strategy(wait)
        self._waits = Waits(self._parts, self._rhythm, telemetry)

    async def __aenter__(self) -> Client:
        self._parts.lifetime.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client and its connections. Calls under way end with `ClientClosedError`.

        Closing twice does nothing. A `session` of yours stays open.
        """
        self._parts.lifetime.close()
        await self._parts.aclose(self._waits.aclose)

    def __repr__(self) -> str:
        if not hasattr(self, "_parts"):
            return "<Client that was refused an argument>"
        state = "closed" if self._parts.lifetime.closed else "open"
        return f"<Client {self._parts.http.base_url} {state}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a Client holds an API key and connections, and is not pickled nor copied: make a "
            "Client where it is needed"
        )

    @property
    def requests_per_second(self) -> float | None:
        """Most requests to begin in a second; None for no limit.

        Set it to change it under calls and waits that are under way: a share of a rate that
        several processes have in common, or a lower one at night.

        Raises:
            ValueError: The new rate is not a finite number above 0, nor None.
        """
        return self._parts.limiter.requests_per_second

    @requests_per_second.setter
    def requests_per_second(self, requests_per_second: float | None) -> None:
        self._parts.limiter.requests_per_second = rate(requests_per_second)

    def rhythm(self) -> bytes:
        """Return what has been learned of when tasks end, as JSON for the next client.

            Path("rhythm.json").write_bytes(client.rhythm())
            Client(rhythm=Path("rhythm.json").read_bytes())

        It holds how long tasks of each kind and model took, and no ids, prompts or keys.
        """
        return self._rhythm.to_json()

    def statistics(self) -> ClientStatistics:
        """Return the statistics of the client so far and now."""
        return self._parts.statistics(self._rhythm)

    @overload
    async def get(self, ref: TaskRef[T]) -> T: ...
    @overload
    async def get(self, ref: str) -> AnyTask: ...
    async def get(self, ref: TaskRef[T] | str) -> T | AnyTask:
        """Ask once how a task stands.

        Transient trouble (a lost connection, a timeout, HTTP 5xx, code 500, 429) is met with
        up to `attempts` requests in all, with exponential backoff, or as long between them
        as the service asks for (`Retry-After`), and no further than `attempts` times
        `request_timeout` from now. When most of the client's calls fail, it repeats one in ten.

        Args:
            ref: The task: an `ImageRef` or a `VideoRef`, or its text form, `image:ID`.

        Returns:
            An `ImageTask` or a `VideoTask`, whether it still runs, succeeded or failed.

        Raises:
            AuthenticationError: The key is not valid.
            TaskNotFoundError: There is no such task of this kind.
            ApiError: The service refuses for another reason.
            TransportError: No usable answer came, in the last attempt either.
            ContractError: The service's answer breaks its contract.
            ClientClosedError: The client is closed.
        """
        return await self._parts.poller.get(ref_of(ref))

    async def price(self, request: TaskRequest[Any]) -> float | None:
        """Return the most that a request can cost, before it is submitted.

        The price is looked up in the service's list of models, which is kept for five minutes, and
        is in the unit of that list. What a request leaves to the model counts as its default, or as
        the dearest choice.

        Args:
            request: The request to look up.

        Returns:
            The price; None where the service does not tell.

        Raises:
            ApiError: The service refuses.
            TransportError: No usable answer came, after `attempts` requests.
            ContractError: The service's answer breaks its contract.
            ClientClosedError: The client is closed.
        """
        return await self._parts.catalog.price(request)

    async def submit(
        self,
        request: TaskRequest[R],
        *,
        check: bool = False,
        upload: Literal["auto", "always", "never"] = "auto",
        at_most: float | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> R:
        """Submit a request. It spends credits, so it is sent once.

            ref = await client.submit(GenerateImage(model="gpt-image-2", prompt="a cat"))

        It is sent again, up to `attempts` in all, only after trouble in which the service
        certainly did not take it: there was no connection, the body did not go out whole, or
        the answer is 429. It goes out on a new connection, which cannot have gone stale; a
        `session` of yours is used as it is. A large body gets more time than
        `request_timeout`: a second for each 128 KiB.

        The first time that a poll says that there is no such task, or that the key is wrong, a wait
        of this client for the task goes on: the service has just said otherwise.

        Args:
            request: What to make: a `GenerateImage`, an `EditImage` or a `GenerateVideo`.
                Files in it are uploaded first, as by `upload`, and their addresses are sent.
            check: Whether to compare the request with what its model accepts, as the service lists
                it, before anything is sent. The list is kept for five minutes.
            upload: Whether files are uploaded. `"always"`; `"never"`: they go as data URIs, in the
                request itself; `"auto"`: they are uploaded where the service has uploads, and else
                go as data URIs. A file that cannot arrive as a data URI is refused: one of more
                than 12 MB, and any in a `GenerateVideo` whose provider takes only addresses. A
                data URI of yours counts as a file, but with `"never"` it is sent as it is.
            at_most: The most that it may cost, as `price` tells it. Where it may cost more, or
                the service does not tell, it is not sent.
            progress: Called with the number of bytes of all its files that have gone out to the
                store, and with the number of all their bytes. An attempt that begins again takes
                its bytes off. An error that it raises ends the call, and nothing was submitted.

        Returns:
            The task, to wait for: an `ImageRef` or a `VideoRef`.

        Raises:
            ValueError: A file is empty, is no image (or sound, or video), or cannot arrive; or
                the body is above 16 MiB. Or, with `check`, the model does not accept the
                request; or it may cost more than `at_most`. Nothing was submitted.
            OSError: A file cannot be read. Nothing was submitted.
            UploadError: A file could not be uploaded. Nothing was submitted.
            SubmitUncertainError: It was sent, and it is not known whether it made a task; also if
                the client was closed meanwhile. Cancelling such a call puts a note of the same
                words on the `CancelledError`.
            ApiError: The service refuses: a wrong key, an invalid request (400), an unknown
                model (12300) or group (12801). No task was made.
            TransportError: The service could not be reached. No task was made.
            ClientClosedError: The client is closed.
        """
        tell, way = not_async("progress", progress), upload_mode(upload)
        await self._parts.catalog.check_price(request, amount("at_most", at_most))
        return await self._parts.submitter.submit(request, check=check, upload=way, progress=tell)

    async def upload(
        self,
        source: str | PathLike[str] | bytes | BinaryIO | AsyncIterable[bytes],
        *,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> str:
        """Upload a picture, a sound or a video to the service's store. It spends nothing.

            address = await client.upload("cat.png")
            await client.submit(EditImage(model="gpt-image-2", prompt="at night", image=address))

        The service signs an address, the file is put there without the key, and the service is
        told. It takes the same memory whatever the size: a source that is no file on a disk is
        copied to a temporary file first. Four files go at the same time; more wait for their turn.
        The same bytes are uploaded once, and have the same address for an hour. Trouble with the
        store is met with up to 5 attempts. The file's name is not sent.

        Args:
            source: A path, bytes, a file opened in binary mode, which is read from where it
                stands, or an async iterable of bytes. Up to 1 GiB.
            progress: Called with the number of bytes that have gone out, and with the number of
                all. It starts again with each attempt. An error that it raises ends the upload.

        Returns:
            The address, which anybody can read.

        Raises:
            ValueError: The file is empty, too large, or of a type that is not known.
            OSError: The file cannot be read.
            UploadError: The service has no uploads, or its store did not take the file.
            ApiError: The service refuses.
            TransportError: The service could not be reached.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        tell = not_async("progress", progress)
        return await self._parts.uploader.upload_source(uploadable(source), tell)

    async def run(
        self,
        request: TaskRequest[TaskRef[T]],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        raise_on_failure: bool = True,
        check: bool = False,
        upload: Literal["auto", "always", "never"] = "auto",
        at_most: float | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        submitted: Callable[[TaskRef[T]], object] | None = None,
        changed: Callable[[T], object] | None = None,
        save: str | PathLike[str] | None = None,
        save_timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
    ) -> T:
        """Submit a request, and wait for its task: `submit`, then `wait_for`.

            image = await client.run(GenerateImage(model="gpt-image-2", prompt="a cat"))

        Once the task has been submitted, every error this raises has it as `error.ref`, and a
        `CancelledError` names it in a note: what is paid for can be waited for again.

        Args:
            request: What to make.
            timeout: Seconds for the wait, from the submit; None for no limit.
            wait: The delays between polls: any tenacity wait strategy.
            patience: Seconds that the service may stay unreachable; None for no limit.
            raise_on_failure: Whether a task that failed raises `TaskFailedError`, or is
                returned.
            check: As in `submit`.
            upload: As in `submit`.
            at_most: As in `submit`.
            progress: As in `submit`: of the files that are uploaded for it.
            submitted: Called with the ref as soon as there is one, to write it down; awaited if
                it is async.
            changed: Called with the task after the first poll, and at each change; awaited if it is
                async. An error that it raises ends the wait.
            save: A directory, or a file's name. The files of a task that succeeds are saved
                there, as by `download`.
            save_timeout: Seconds for which the saving may stand still; None for no limit.
            max_bytes: The size past which a file is given up.

        Returns:
            The finished task: an `ImageTask` or a `VideoTask`.

        Raises:
            ValueError: As in `submit`; or a number is negative or not finite, and nothing was
                sent.
            SubmitUncertainError: As in `submit`. There is no ref.
            AiToEarnError: As in `submit` and `wait_for`, and with `save` as in `download`.
        """
        limits = wait_limits(timeout, patience, wait, self._wait)
        hooks(submitted=submitted, changed=changed)
        # Before the submit: the import of the downloader can fail, and nothing is paid for then.
        saver = self._parts.saver(*saving(save, save_timeout, max_bytes), of_many=False)
        ref = await self.submit(
            request, check=check, upload=upload, at_most=at_most, progress=progress
        )
        with naming(ref):
            if submitted is not None:
                await call(submitted, ref)
            waiter = self._waits.waiter(ref, limits, raise_on_failure)
            if changed is not None:
                async for task in waiter:
                    await call(changed, task)
            task = await waiter
            if saver is not None and task.state == "succeeded":
                await saver(task)
            return task

    def watch(
        self,
        request: TaskRequest[TaskRef[T]],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        check: bool = False,
        upload: Literal["auto", "always", "never"] = "auto",
        at_most: float | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        submitted: Callable[[TaskRef[T]], object] | None = None,
    ) -> AsyncIterator[T]:
        """Submit a request, and go through the changes of its task: `submit`, then `wait_for`.

            async for image in client.watch(GenerateImage(model="gpt-image-2", prompt="a cat")):
                print(image.status)

        Nothing is sent before it is iterated. The last task it gives is the finished one, also
        where that has failed. A loop that is left early leaves the task running.

        Args:
            request: What to make.
            timeout: As in `run`.
            wait: As in `run`.
            patience: As in `run`.
            check: As in `run`.
            upload: As in `run`.
            at_most: As in `run`.
            progress: As in `run`.
            submitted: As in `run`.

        Returns:
            An async iterator of the task, as of the first poll and of each change.

        Raises:
            ValueError: A number is negative or not finite. At the call.
            AiToEarnError: As in `run`, when iterated.
        """
        limits = wait_limits(timeout, patience, wait, self._wait)
        hooks(submitted=submitted)
        amount("at_most", at_most)

        async def changes() -> AsyncIterator[T]:
            ref = await self.submit(
                request, check=check, upload=upload, at_most=at_most, progress=progress
            )
            with naming(ref):
                if submitted is not None:
                    await call(submitted, ref)
                async for task in self._waits.waiter(ref, limits, False):
                    yield task

        return changes()

    def list_videos(
        self,
        *,
        page_size: int = 100,
        skipped: Callable[[SkippedVideo], object] | None = None,
    ) -> VideoList:
        """Go through your own video tasks, newest first.

            async for task in client.list_videos():
                print(task.ref, task.status)

        Nothing is sent before the first is asked for, and no more than a page is held. A page that
        fails because of one row (code 12302 or 500), or is larger than `max_response_bytes`, is
        asked for again in smaller ones. A row that fails alone is left out, counted and reported.
        If pages without rows fail too, the service itself fails, and its error is raised.

        Tasks made meanwhile are left out, and do not make others come twice, unless more than
        10,000 are made between two pages. If tasks are removed meanwhile, others can be missed.

        Args:
            page_size: How many to ask for at a time, 1 to 1,000.
            skipped: Called for each row that is left out, and awaited if it is async; None: a
                warning is logged. An error that it raises ends the iteration, which can be
                continued after that row.

        Returns:
            A `VideoList`: an async iterator of `VideoTask`.

        Raises:
            ValueError: `page_size` is out of its range. At the call.
            AuthenticationError: The key is not valid. This and what follows when iterated.
            ApiError: The service refuses for another reason.
            TransportError: No usable answer came, after `attempts` requests.
            ContractError: The service's answer breaks its contract.
            ClientClosedError: The client is closed.
        """
        hooks(skipped=skipped)
        return self._parts.videos.newest_first(checked_page_size(page_size), skipped)

    def list_images(self, *, page_size: int = 100) -> ImageList:
        """Go through your own image tasks, newest first: ids and states.

            async for row in client.list_images():
                if row.state is TaskState.SUCCEEDED:
                    task = await client.get(row.ref)

        The rows come from the service's logs (`GET /api/ai/logs`), which hold no prompts and no
        images; `get` brings a whole task. The route is not among the published ones, and an
        older service may lack it.

        Args:
            page_size: How many to ask for at a time, 1 to 1,000.

        Returns:
            An `ImageList`: an async iterator of `ListedImage`.

        Raises:
            ValueError: `page_size` is out of its range. At the call.
            TaskNotFoundError: The service has no logs. This and what follows when iterated.
            ApiError: The service refuses for another reason.
            TransportError: No usable answer came, after `attempts` requests.
            ContractError: The service's answer breaks its contract.
            ClientClosedError: The client is closed.
        """
        return self._parts.images(checked_page_size(page_size))

    async def image_models(self) -> list[ImageModel]:
        """Return the models for `GenerateImage`, and what each accepts.

        Raises:
            ApiError: The service refuses.
            TransportError: No usable answer came, after `attempts` requests.
            ContractError: The service's answer breaks its contract.
            ClientClosedError: The client is closed.
        """
        return await self._parts.catalog.models(IMAGE_MODELS)

    async def edit_models(self) -> list[EditModel]:
        """Return the models for `EditImage`; else as `image_models`."""
        return await self._parts.catalog.models(EDIT_MODELS)

    async def video_models(self) -> list[VideoModel]:
        """Return the models for `GenerateVideo`; else as `image_models`."""
        return await self._parts.catalog.models(VIDEO_MODELS)

    @overload
    def wait_for(
        self,
        ref: TaskRef[T],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        raise_on_failure: bool = True,
    ) -> Waiter[T]: ...
    @overload
    def wait_for(
        self,
        ref: str,
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        raise_on_failure: bool = True,
    ) -> Waiter[AnyTask]: ...
    @coroutine_function
    def wait_for(
        self,
        ref: TaskRef[T] | str,
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        raise_on_failure: bool = True,
    ) -> Waiter[T] | Waiter[AnyTask]:
        """Wait until a task has ended. Nothing is sent before the result is awaited.

            task = await client.wait_for(ref)             # the finished task
            async for task in client.wait_for(ref): ...   # the first poll, then each change

        A failed poll is not a failed task: the wait goes on over lost connections, timeouts,
        5xx and 429, and the next poll comes later.

        Args:
            ref: The task: an `ImageRef` or a `VideoRef`, or its text form, `image:ID`.
            timeout: Seconds from the first poll to `WaitTimeoutError`; None for no limit; 0 to
                look once.
            wait: The delays between polls: any tenacity wait strategy.
            patience: Seconds that the service may stay unreachable, or keep failing for this
                task, until `ServiceUnreachableError`; renewed by each good answer, and not used up
                by 429s; None for no limit. For a client that has never had a good answer it is 8 s
                at most, where nobody, or another server, is at the service's address.
            raise_on_failure: Whether awaiting a task that failed raises `TaskFailedError`, or
                returns it. An iteration always yields it.

        Returns:
            A `Waiter`: awaitable, and an async iterator.

        Raises:
            ValueError: A number is negative, not finite or not a number. At the call.
            TypeError: `ref` is not a ref. At the call.
            TaskFailedError: The task failed. This and what follows when awaited or iterated.
            WaitTimeoutError: It had not ended in time. Also a `TimeoutError`.
            ServiceUnreachableError: The patience ran out.
            ApiError: The service refuses for good: a wrong key, no such task, an invalid id.
            ConnectionFailedError: The service's certificate is not valid.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        limits = wait_limits(timeout, patience, wait, self._wait)
        return self._waits.waiter(ref, limits, raise_on_failure)

    @overload
    def as_completed(  # type: ignore[overload-overlap]
        self,
        refs: Iterable[TaskRef[T]] | AsyncIterable[TaskRef[T]],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], object] | None = None,
        save: str | PathLike[str] | None = None,
        save_timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
        resume: Callable[[TaskRef[T]], Resume | None] | None = None,
    ) -> Batch[T]: ...
    @overload
    def as_completed(
        self,
        refs: Iterable[AnyRef | str] | AsyncIterable[AnyRef | str],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], object] | None = None,
        save: str | PathLike[str] | None = None,
        save_timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
        resume: Callable[[AnyRef], Resume | None] | None = None,
    ) -> Batch[AnyTask]: ...
    def as_completed(
        self,
        refs: Iterable[Any] | AsyncIterable[Any],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], object] | None = None,
        save: str | PathLike[str] | None = None,
        save_timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
        resume: Callable[[Any], Resume | None] | None = None,
    ) -> Batch[Any]:
        """Wait for many tasks, and get their outcomes in the order they end.

            async with client.as_completed(refs) as batch:
                async for outcome in batch:
                    task = outcome.unwrap()

        There is exactly one outcome for every ref, whatever fails; a ref that is given again
        while it is pending is polled once and answered for each time. A key or a certificate that
        is not valid ends the whole batch: the outcomes so far come first, then the error. An error
        of `refs` itself ends it too, after the outcomes of all refs it gave.

        Args:
            refs: The tasks, as refs or in their text form: any iterable or async iterable, also
                one without an end. It is read as room frees up.
            timeout: Seconds for each task, from its first poll; None for no limit.
            wait: The delays between polls of one task: any tenacity wait strategy.
            patience: Seconds that the service may stay unreachable, or keep failing for a
                task, until that task is given up; None for no limit.
            max_pending: Refs that have been read and whose outcome has not been taken.
            progress: Called about once a second, and when the block is left without an error, with
                the batch's `statistics()`; awaited if it is async. An error that it raises ends
                the batch.
            save: A directory. The files of each task that succeeds are saved there, as by
                `download`, before its outcome is handed over with their `paths`. If a file cannot
                be saved, the outcome has the task and a `DownloadError`.
            save_timeout: Seconds for which the saving of one task may stand still, once it has its
                turn; None for no limit.
            max_bytes: The size past which a file is not saved.
            resume: Called with each ref when it has been read: returns a `Resume` where the wait
                for it began earlier, in another process maybe, and None where it begins now.

        Returns:
            A `Batch`: an async context manager, and inside it an async iterator.

        Raises:
            ValueError: A number is out of its range. At the call.
            TypeError: `refs` is no iterable at the call; one of them is no ref, when reached.
            AuthenticationError: The key is not valid. This and what follows when iterated.
            ConnectionFailedError: The service's certificate is not valid.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        return self._waits.batch(
            refs,
            wait_limits(timeout, patience, wait, self._wait),
            max_pending=count("max_pending", max_pending),
            progress=progress,
            save=self._parts.saver(*saving(save, save_timeout, max_bytes), of_many=True),
            resume=resume,
        )

    @overload
    async def wait_all(  # type: ignore[overload-overlap]
        self,
        refs: Iterable[TaskRef[T]] | AsyncIterable[TaskRef[T]],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], object] | None = None,
        save: str | PathLike[str] | None = None,
        save_timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
    ) -> list[Outcome[T]]: ...
    @overload
    async def wait_all(
        self,
        refs: Iterable[AnyRef | str] | AsyncIterable[AnyRef | str],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], object] | None = None,
        save: str | PathLike[str] | None = None,
        save_timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
    ) -> list[Outcome[AnyTask]]: ...
    async def wait_all(
        self,
        refs: Iterable[Any] | AsyncIterable[Any],
        *,
        timeout: float | timedelta | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], object] | None = None,
        save: str | PathLike[str] | None = None,
        save_timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
    ) -> list[Outcome[Any]]:
        """Wait for many tasks, and get their outcomes in the order asked.

        It works as `as_completed`, with the same arguments; but an error that ends the batch loses
        its outcomes.

        Returns:
            One `Outcome` for each ref.

        Raises:
            ValueError: A number is out of its range.
            TypeError: `refs` is no iterable, or one of them is no ref.
            AuthenticationError: The key is not valid.
            ConnectionFailedError: The service's certificate is not valid.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        asked: list[TaskRef[Any]] = []
        batch = self._waits.batch(
            refs,
            wait_limits(timeout, patience, wait, self._wait),
            max_pending=count("max_pending", max_pending),
            admitted=asked.append,
            progress=progress,
            save=self._parts.saver(*saving(save, save_timeout, max_bytes), of_many=True),
        )
        async with batch:
            outcomes = {outcome.ref: outcome async for outcome in batch}
        return [outcomes[ref] for ref in asked]

    async def download(
        self,
        task: Task | AnyRef | str,
        directory: str | PathLike[str],
        *,
        timeout: float | timedelta | None = 600.0,
        max_bytes: int = 1_073_741_824,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> list[Path]:
        """Save what a succeeded task has made: its images, or its video.

            task = await client.wait_for(ref)
            paths = await client.download(task, "results")

        Files are called `image-ID-1.png`, `image-ID-2.png`, ..., `video-ID.mp4`; the suffix is that
        of their real type. A file gets its name when it is complete, and not before; one that is
        there already is left alone. An incomplete one lies beside it, hidden, and the next call
        continues it. Transient trouble is met with further attempts. A file that its host does not
        have (yet) is waited for: a minute, or a quarter of an hour if its task has just ended; and
        the task is polled for the address it has by then. If a file cannot be saved, the others are
        saved all the same, and then the error is raised. The key is not sent.

        Args:
            task: A task that has succeeded; or its ref: then the task is polled first. Of a video
                task the video is saved, and not its cover.
            directory: The directory, which is made if it does not exist. Or the name of the file,
                such as `"cat.png"`, for a task with only one file: a file of that name is replaced.
            timeout: Seconds for which it may stand still, once it has its turn; None for no limit.
            max_bytes: The size past which a file is given up.
            progress: Called with the number of bytes there are of the file that is being written,
                and with the number of all its bytes, None if its host does not say. An error that
                it raises ends the download.

        Returns:
            The files, in the order of the task's images.

        Raises:
            ValueError: The task has not succeeded, or a number is out of its range.
            TypeError: `task` is no task.
            MediaAddressError: A file stands at an address from which nothing is fetched; see
                `private_media`.
            DownloadError: A file could not be saved for another reason.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        where, tell = folder("directory", directory), not_async("progress", progress)
        limits = time_limit("timeout", timeout), count("max_bytes", max_bytes)
        saver = self._parts.downloader.saver(where, *limits, tell)
        if isinstance(task, str | TaskRef):
            task = await self.get(task)
        return await saver(task)
