"""Client, the one object a user holds. The only file that has met everyone.

It takes the arguments, builds the rooms, and hands `polling` a function that polls (`poller`)
and one that sleeps. No room's rules belong here.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .arguments import count, folder, positive, rate, strategy, succeeded, terms, time_limit
from .contract.models import AnyTask, Task
from .contract.refs import TaskRef
from .errors import AiToEarnError
from .exchange import Exchange
from .finder import Finder
from .making import Making
from .media.hosts import Hosts
from .media.keeper import MOST_BYTES as MOST_MEDIA_BYTES
from .media.keeper import TIMEOUT, Keeper
from .poller import ClientStatistics, Poller
from .polling.batch import Batch
from .polling.gauge import BatchStatistics
from .polling.outcome import Outcome
from .polling.schedule import WaitStrategy
from .polling.step import Terms
from .polling.waiter import Waiter
from .session.address import (
    checked_base_url,
    checked_headers,
    checked_proxy,
    proxies,
)
from .session.health import Health
from .session.http import MOST_BYTES, USER_AGENT, Http
from .session.keys import keys_from
from .session.lifetime import Lifetime
from .session.limits import Limits
from .session.retry import Budget, repeat
from .submitter import Submitter

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import ClientSession

T = TypeVar("T", bound=Task)


class Client(Making):
    """A connection to AiToEarn, for one event loop.

    Use it as `async with Client() as client:`, or call `aclose()` when done.

    Args:
        api_key: The key (`X-Api-Key`), or an async function that gives it. That is called
            before the first request and when the service refuses the key it gave last, once
            for all requests. Default: the environment variable `AITOEARN_API_KEY`.
        base_url: The service's address: `INTERNATIONAL`, `CHINA`, or a server of your own.
            Default: the environment variable `AITOEARN_BASE_URL`, else `INTERNATIONAL`.
        session: A session of yours to send with. It is used as it is and left open; what it
            adds to requests (headers, cookies, a proxy) is added to these too.
        language: Of the service's messages (`Accept-Language`): `"zh-CN"` for Chinese.
        request_timeout: Seconds for one request, from its start on the wire.
        attempts: How often one question is asked in all, when it meets transient trouble; a
            submit only where it was not taken. Waits have their `patience` instead.
        concurrency: Requests under way at the same time.
        requests_per_second: Most requests to begin in a second, evenly spaced; None for no
            limit.
        wait: The delays between polls of every wait that brings none of its own: any
            tenacity wait strategy. Default: a backoff for each kind of task.
        proxy: The address of an HTTP proxy.
        ssl: An `ssl.SSLContext` to verify the service with; False verifies nothing.
        user_agent: What to call yourself (`User-Agent`).
        trust_env: Use the proxy that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
        private_media: Let `download` and `save=` fetch files from internal networks too, such
            as those of a storage of your own. Otherwise no address in one is connected to,
            whatever a task, a redirect or a name server says.
        max_response_bytes: The decoded size past which an answer is given up. The service
            echoes submitted images with every answer, so leave room.

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
        request_timeout: float = 30.0,
        attempts: int = 3,
        concurrency: int = 64,
        requests_per_second: float | None = None,
        wait: WaitStrategy | None = None,
        proxy: str | None = None,
        ssl: SSLContext | bool | None = None,
        user_agent: str | None = None,
        trust_env: bool = False,
        private_media: bool = False,
        max_response_bytes: int = MOST_BYTES,
    ) -> None:
        # Whatever is raised from here on, a traceback that shows locals shows no key.
        self._lifetime = Lifetime()
        self._request_timeout = positive("request_timeout", request_timeout)
        keys, api_key = keys_from(api_key, self._lifetime, self._request_timeout), None
        if isinstance(keys, ValueError):
            raise keys
        address = checked_base_url(base_url)
        headers = checked_headers(user_agent or USER_AGENT, language)
        proxy_for = proxies(proxy, trust_env=trust_env)
        options = {"proxy": checked_proxy(proxy_for(address)), "ssl": ssl}
        self._attempts = count("attempts", attempts)
        self._own_wait = strategy(wait)
        now = self._lifetime.time
        self._limits = Limits(count("concurrency", concurrency), rate(requests_per_second), now)
        health = Health(address.host or "", self._limits, now)
        self._http = Http(
            base_url=address,
            keys=keys,
            headers=headers,
            session=session,
            options={name: value for name, value in options.items() if value is not None},
            request_timeout=self._request_timeout,
            most_bytes=count("max_response_bytes", max_response_bytes),
            lifetime=self._lifetime,
            limits=self._limits,
            health=health,
        )
        self._budget = Budget()
        self._poller = Poller(self._http)
        exchange = Exchange(self._http, self._lifetime, self._attempts, self._budget)
        self._finder = Finder(exchange)
        self._submitter = Submitter(exchange, self._finder)
        hosts = Hosts(
            plain=address.scheme == "http",
            inside=private_media,
            proxy_for=proxy_for,
            ssl=ssl,
            user_agent=headers["User-Agent"],
            patience=self._request_timeout,
        )
        self._keeper = Keeper(hosts, self._poller.fetch, self._lifetime)

    async def __aenter__(self) -> Client:
        self._lifetime.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client and its connections. Calls under way end with `ClientClosedError`.

        Closing twice does nothing. A `session` of yours stays open.
        """
        self._lifetime.close()
        await self._http.aclose()
        await self._keeper.aclose()

    def __repr__(self) -> str:
        if not hasattr(self, "_http"):
            return "<Client that was refused an argument>"
        state = "closed" if self._lifetime.closed else "open"
        return f"<Client {self._http.base_url} {state}>"

    def statistics(self) -> ClientStatistics:
        """What the client has done so far and is doing now."""
        return self._poller.statistics()

    async def get(self, ref: TaskRef[T]) -> T:
        """Ask once how a task stands.

        Transient trouble (a lost connection, a timeout, HTTP 5xx, code 500, 429) is met with
        up to `attempts` requests in all, with exponential backoff, or as long between them
        as the service asks for (`Retry-After`), and no further than `attempts` times
        `request_timeout` from now. When most of the client's calls fail, it repeats one in ten.

        Args:
            ref: The task: an `ImageRef` or a `VideoRef`.

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
        before = self._lifetime.enter().time() + self._attempts * self._request_timeout
        # As `persist` does it, without a function in between: nearly every call ends here.
        self._budget.earn()
        try:
            return await self._poller.fetch(ref, before)
        except AiToEarnError as error:
            if not error.transient or self._attempts == 1:
                raise
            first = error
        return await repeat(
            lambda: self._poller.fetch(ref, before),
            first,
            attempts=self._attempts,
            before=before,
            budget=self._budget,
            lifetime=self._lifetime,
        )

    def wait_for(
        self,
        ref: TaskRef[T],
        *,
        timeout: float | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | None = 300.0,
        raise_on_failure: bool = True,
    ) -> Waiter[T]:
        """Wait until a task has ended. Nothing is sent before the result is awaited.

            task = await client.wait_for(ref)             # the finished task
            async for task in client.wait_for(ref): ...   # the first poll, then each change

        A failed poll is not a failed task: the wait goes on over lost connections, timeouts,
        5xx and 429, and the next poll comes later.

        Args:
            ref: The task: an `ImageRef` or a `VideoRef`.
            timeout: Seconds from the first poll to `WaitTimeoutError`; None for no limit.
            wait: The delays between polls: any tenacity wait strategy.
            patience: Seconds that the service may stay unreachable, or keep failing for this
                task, until `ServiceUnreachableError`; renewed by each good answer, and not
                used up by 429s; None for no limit.
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
        return self._waiter(ref, self._terms(timeout, patience, wait), raise_on_failure)

    def as_completed(
        self,
        refs: Iterable[TaskRef[T]] | AsyncIterable[TaskRef[T]],
        *,
        timeout: float | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], None] | None = None,
        save: str | PathLike[str] | None = None,
    ) -> Batch[T]:
        """Wait for many tasks, and get their outcomes in the order they end.

            async with client.as_completed(refs) as batch:
                async for outcome in batch:
                    task = outcome.unwrap()

        There is exactly one outcome for every ref, whatever fails; a ref that is given again
        while it is pending is polled once and answered for each time. A key that is not
        valid, or a certificate, ends the whole batch: the outcomes so far come first, then
        the error. So does an error of `refs` itself, after the outcomes of all it gave.

        Args:
            refs: The tasks: any iterable or async iterable, also one without an end. It is
                read as room frees up.
            timeout: Seconds for each task, from its first poll; None for no limit.
            wait: The delays between polls of one task: any tenacity wait strategy.
            patience: Seconds that the service may stay unreachable, or keep failing for a
                task, until that task is given up; None for no limit.
            max_pending: Refs that have been read and whose outcome has not been taken.
            progress: Called about once a second, and when the block is left, with the
                batch's `statistics()`. What it raises ends the batch.
            save: A directory. The files of each task that succeeds are saved there, as by
                `download`, before its outcome is handed over with their `paths`. Where that
                fails, the outcome has the task and a `DownloadError`.

        Returns:
            A `Batch`: an async context manager, and inside it an async iterator.

        Raises:
            ValueError: A number is out of its range. At the call.
            TypeError: `refs` is no iterable at the call; one of them is no ref, when reached.
            AuthenticationError: The key is not valid. This and what follows when iterated.
            ConnectionFailedError: The service's certificate is not valid.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        return self._batch(refs, None, timeout, wait, patience, max_pending, progress, save)

    async def wait_all(
        self,
        refs: Iterable[TaskRef[T]] | AsyncIterable[TaskRef[T]],
        *,
        timeout: float | None = 1800.0,
        wait: WaitStrategy | None = None,
        patience: float | None = 300.0,
        max_pending: int = 100_000,
        progress: Callable[[BatchStatistics], None] | None = None,
        save: str | PathLike[str] | None = None,
    ) -> list[Outcome[T]]:
        """Wait for many tasks, and get their outcomes in the order asked.

        As `as_completed`, with its arguments; but what ends the batch loses its outcomes.

        Returns:
            One `Outcome` for each ref.

        Raises:
            ValueError: A number is out of its range.
            TypeError: `refs` is no iterable, or one of them is no ref.
            AuthenticationError: The key is not valid.
            ConnectionFailedError: The service's certificate is not valid.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        asked: list[TaskRef[T]] = []
        batch = self._batch(
            refs, asked.append, timeout, wait, patience, max_pending, progress, save
        )
        async with batch:
            outcomes = {outcome.ref: outcome async for outcome in batch}
        return [outcomes[ref] for ref in asked]

    async def download(
        self,
        task: AnyTask,
        directory: str | PathLike[str],
        *,
        timeout: float | None = TIMEOUT,
        max_bytes: int = MOST_MEDIA_BYTES,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> list[Path]:
        """Save what a succeeded task has made: its images, or its video.

            task = await client.wait_for(ref)
            paths = await client.download(task, "results")

        Files are called `image-ID-1.png`, `image-ID-2.png`, ..., `video-ID.mp4`; the ending is
        that of what they really are. A file has its name when it is complete, and not before:
        one that is there is left alone. What there is of another one lies beside it, hidden,
        and is gone on with by the next call. Transient trouble is met with further attempts,
        and an address that has expired with one more poll of the task. Where a file cannot be
        saved, the others are all the same, and then it is raised. The key is not sent.

        Args:
            task: A task that has succeeded. Of a video the video is saved and not its cover.
            directory: Where to. It is made if it is not there.
            timeout: Seconds for all of it; None for no limit.
            max_bytes: The size past which a file is given up.
            progress: Called with the bytes there are of the file that is being written, and
                with how many it is to have, None if its host does not say. What it raises
                ends the download.

        Returns:
            The files, in the order of the task's images.

        Raises:
            ValueError: The task has not succeeded, or a number is out of its range.
            TypeError: `task` is no task.
            MediaAddressError: A file stands at an address nothing is fetched from; see
                `private_media`.
            DownloadError: A file could not be saved for another reason.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        return await self._keeper.save(
            succeeded(task),
            folder("directory", directory),
            timeout=time_limit("timeout", timeout),
            most=count("max_bytes", max_bytes),
            progress=progress,
        )

    def _batch(
        self,
        refs: Iterable[TaskRef[T]] | AsyncIterable[TaskRef[T]],
        admitted: Callable[[TaskRef[T]], None] | None,
        timeout: float | None,
        wait: WaitStrategy | None,
        patience: float | None,
        max_pending: int,
        progress: Callable[[BatchStatistics], None] | None,
        save: str | PathLike[str] | None,
    ) -> Batch[T]:
        return Batch(
            refs,
            self._terms(timeout, patience, wait),
            timeout=time_limit("timeout", timeout),
            max_pending=count("max_pending", max_pending),
            concurrency=self._limits.concurrency,
            poll=self._poller.poll,
            clock=self._lifetime,
            closed=self._lifetime.until_closed,
            admitted=admitted,
            progress=progress,
            keep=None if save is None else self._keeper.into(folder("save", save)),
        )

    def _terms(
        self, timeout: float | None, patience: float | None, wait: WaitStrategy | None
    ) -> Callable[[TaskRef[Any]], Terms]:
        wait = strategy(wait) or self._own_wait
        return terms(timeout, patience, wait, self._submitter.made)

    def _waiter(
        self, ref: TaskRef[T], terms: Callable[[TaskRef[Any]], Terms], raise_on_failure: bool
    ) -> Waiter[T]:
        return Waiter(
            ref,
            terms(ref),
            raise_on_failure=raise_on_failure,
            poll=self._poller.poll,
            clock=self._lifetime,
        )
