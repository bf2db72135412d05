"""Client, the one object a user holds. The only file that has met everyone.

It hands the rooms to each other: what `session` brings, `contract` reads; `polling` gets a
function that polls and one that sleeps. No room's rules belong here.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import secrets
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from .contract.endpoints import Endpoint, endpoint_of
from .contract.envelope import Broken, Refusal, read, refusal
from .contract.models import Task
from .contract.refs import TaskRef
from .contract.status import is_known
from .errors import AiToEarnError, ApiError, ContractError, UnexpectedResponseError
from .polling.schedule import WaitStrategy, cadence
from .polling.step import Terms
from .polling.waiter import Waiter
from .session.address import INTERNATIONAL, checked_base_url, checked_header, checked_key
from .session.classify import Phase, classify
from .session.http import MOST_BYTES, USER_AGENT, Answer, Http, environment_proxy
from .session.lifetime import Lifetime
from .session.limits import Limits
from .session.retry import repeat, retry_after

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import ClientSession

T = TypeVar("T", bound=Task)

logger = logging.getLogger("aitoearn_async")


class ClientStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has done and is doing, at one moment."""

    requests: int
    """Requests begun."""
    failures: int
    """Requests that brought no task: refused, broken off, unreadable."""
    in_flight: int
    """Requests under way now."""
    queued: int
    """Requests waiting now for a place among `concurrency`, or for their turn."""


class Client:
    """A connection to AiToEarn, for one event loop.

    Use it as `async with Client() as client:`, or call `aclose()` when done.

    Args:
        api_key: The key (`X-Api-Key`). Default: the environment variable `AITOEARN_API_KEY`.
        base_url: The service's address: `INTERNATIONAL`, `CHINA`, or a server of your own.
            Default: the environment variable `AITOEARN_BASE_URL`, else `INTERNATIONAL`.
        session: A session of yours to send with. It is used as it is and left open; what it
            adds to requests (headers, cookies, a proxy) is added to these too.
        language: Of the service's messages (`Accept-Language`): `"zh-CN"` for Chinese.
        request_timeout: Seconds for one request, from its start on the wire.
        attempts: How often `get` asks in all, when it meets transient trouble.
        concurrency: Requests under way at the same time.
        requests_per_second: Most requests to begin in a second, evenly spaced; None for no
            limit.
        wait: The delays between polls of every wait that brings none of its own: any
            tenacity wait strategy. Default: a backoff for each kind of task.
        proxy: The address of an HTTP proxy.
        ssl: An `ssl.SSLContext` to verify the service with; False verifies nothing.
        user_agent: What to call yourself (`User-Agent`).
        trust_env: Use the proxy that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
        max_response_bytes: The decoded size past which an answer is given up. The service
            echoes submitted images with every answer, so leave room.

    Raises:
        ValueError: An argument, or the environment's key or address, cannot be used.
    """

    def __init__(
        self,
        api_key: str | None = None,
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
        max_response_bytes: int = MOST_BYTES,
    ) -> None:
        key = checked_key(os.environ.get("AITOEARN_API_KEY") if api_key is None else api_key)
        if base_url is None:
            base_url = os.environ.get("AITOEARN_BASE_URL") or INTERNATIONAL
        address = checked_base_url(base_url)
        headers = {"User-Agent": checked_header("user_agent", user_agent or USER_AGENT)}
        if language is not None:
            headers["Accept-Language"] = checked_header("language", language)
        if requests_per_second is not None:
            _positive("requests_per_second", requests_per_second)
        if trust_env and proxy is None:
            proxy = environment_proxy(address)
        options = {"proxy": proxy, "ssl": ssl}
        self._attempts = _count("attempts", attempts)
        self._request_timeout = _positive("request_timeout", request_timeout)
        self._own_wait = _strategy(wait)
        self._lifetime = Lifetime()
        self._limits = Limits(_count("concurrency", concurrency), requests_per_second)
        self._http = Http(
            base_url=address,
            key=key,
            headers=headers,
            session=session,
            options={name: value for name, value in options.items() if value is not None},
            request_timeout=self._request_timeout,
            most_bytes=_count("max_response_bytes", max_response_bytes),
            lifetime=self._lifetime,
            limits=self._limits,
        )
        self._name = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._echoes_request_ids = False
        self._failures = 0
        self._strange_words: set[str] = set()

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
        if self._lifetime.closed:
            return
        self._lifetime.enter()
        self._lifetime.close()
        await self._http.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._lifetime.closed else "open"
        return f"<Client {self._http.base_url} {state}>"

    def statistics(self) -> ClientStatistics:
        """What the client has done so far and is doing now."""
        return ClientStatistics(
            requests=self._limits.begun,
            failures=self._failures,
            in_flight=self._limits.in_flight,
            queued=self._limits.queued,
        )

    async def get(self, ref: TaskRef[T]) -> T:
        """Ask once how a task stands.

        Transient trouble (a lost connection, a timeout, HTTP 5xx, code 500, 429) is met with
        up to `attempts` requests in all, with exponential backoff, or as long between them
        as the service asks for (`Retry-After`), and no further than `attempts` times
        `request_timeout` from now.

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
        endpoint = endpoint_of(ref)
        now = self._lifetime.enter().time()
        before = now + self._attempts * self._request_timeout
        try:
            return await self._poll(ref, before, endpoint)
        except AiToEarnError as error:
            if not error.transient or self._attempts == 1:
                raise
            first = error
        return await repeat(
            lambda: self._poll(ref, before, endpoint),
            first,
            attempts=self._attempts,
            before=before,
            sleep_until=self._lifetime.sleep_until,
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
                task, until `ServiceUnreachableError`; renewed by each good answer; None for
                no limit.
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
        endpoint_of(ref)
        return Waiter(
            ref,
            Terms(
                timeout=_limit("timeout", timeout),
                patience=_limit("patience", patience),
                wait=_strategy(wait) or self._own_wait or cadence(ref.kind),
            ),
            raise_on_failure=raise_on_failure,
            poll=self._poll,
            sleep_until=self._lifetime.sleep_until,
        )

    async def _poll(
        self, ref: TaskRef[T], before: float | None, endpoint: Endpoint[T] | None = None
    ) -> T:
        """One request: the task, or an error. Over by `before`, in loop time."""
        endpoint = endpoint or endpoint_of(ref)
        request_id = f"{self._name}-{next(self._numbers)}"
        try:
            answer = await self._http.get(endpoint.path + ref.id, request_id, before)
            result = self._read(ref, endpoint, request_id, answer)
        except AiToEarnError as error:
            result = error
        if isinstance(result, AiToEarnError):
            self._failures += 1
            logger.debug("%s: %s", ref, result)
            raise result
        return result

    def _read(
        self, ref: TaskRef[T], endpoint: Endpoint[T], request_id: str, answer: Answer
    ) -> T | AiToEarnError:
        if not 200 <= answer.status < 300:
            no = refusal(answer.body)
            if no is None:
                return self._http.rejection(answer, request_id)
            return self._refused(no, request_id, answer)
        result = read(answer.body, endpoint)
        if isinstance(result, Refusal):
            return self._refused(result, request_id, answer)
        if isinstance(result, Broken):
            if result.is_json:
                return ContractError(self._http.scrubbed(result.reason), request_id)
            return self._http.rejection(answer, request_id)
        task = result.data
        if endpoint.id_of(task).lower() != ref.id.lower():
            self._http.drop(answer)
            return _not_ours(f"the answer is for the task {endpoint.id_of(task):.40}", request_id)
        self._echoes_request_ids = result.request_id == request_id
        self._notice(task.status)
        return task

    def _refused(self, no: Refusal, request_id: str, answer: Answer) -> AiToEarnError:
        # A refusal names no task. Where the service echoes our request ids, one with another
        # id is somebody else's.
        if self._echoes_request_ids and no.request_id not in (None, request_id):
            self._http.drop(answer)
            return _not_ours("the refusal is for another request", request_id)
        verdict = classify(Phase.ANSWER, status=answer.status, code=no.code)
        return cast("type[ApiError]", verdict.error)(
            no.code,
            self._http.scrubbed(no.message),
            request_id,
            answer.status,
            retry_after=retry_after(answer.headers),
        )

    def _notice(self, word: str) -> None:
        if is_known(word) or word in self._strange_words or len(self._strange_words) >= 100:
            return
        self._strange_words.add(word)
        logger.warning("unknown status %.60r: taken to mean that the task still runs", word)


def _not_ours(what: str, request_id: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(f"{what}, not ours", request_id, 200, label="stray answer")


def _limit(name: str, seconds: float | None) -> float:
    """A time limit; None is infinity, and says so better than a number does."""
    if seconds is None:
        return math.inf
    if not _is_number(seconds) or not 0 <= seconds < math.inf:
        raise ValueError(f"{name}={seconds!r}: give seconds, 0 or more, or None for no limit")
    return float(seconds)


def _positive(name: str, value: float) -> float:
    if not _is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{name}={value!r}: give a finite number above 0")
    return float(value)


def _count(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: give a whole number, 1 or more")
    return value


def _strategy(wait: WaitStrategy | None) -> WaitStrategy | None:
    if wait is not None and not callable(wait):
        raise ValueError(
            f"wait={wait!r:.60}: give a tenacity wait strategy, such as tenacity.wait_fixed(5)"
        )
    return wait


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
