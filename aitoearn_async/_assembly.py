"""The parts of one client, put together. Imported when the first client is made.

The folders that this file imports need aiohttp, which takes longer to load than all the rest. What
every client needs is made at once, and arguments that can be wrong are checked. The parts that
save, list and submit are imported and made when they are first used: many clients only wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ._api.caller import ApiCaller
from ._api.draft_lookup import DraftLookup
from ._api.poll import Poller
from ._api.task_pages import TaskPages
from ._api.turns import Turns
from ._downloads.allowed_networks import allowed_networks
from ._net.connection import places_for
from ._net.resources import imports
from ._net.urls import checked_base_url, checked_headers, proxies, proxy_objection
from ._resilience.limiter import RequestLimiter
from ._resilience.monitor import ServiceMonitor
from ._runtime.bounded_dict import BoundedDict
from ._runtime.lifetime import Lifetime
from ._runtime.logs import log_as_asked
from ._transport.credentials import Credentials, credentials_from
from ._transport.http import USER_AGENT, Http

if TYPE_CHECKING:
    from pathlib import Path
    from ssl import SSLContext

    from aiohttp import ClientSession

    from ._api.image_list import ImageList
    from ._api.model_catalog import ModelCatalog
    from ._api.statistics import ClientStatistics
    from ._api.submit import Submitter
    from ._api.uploader import Uploader
    from ._api.video_list import VideoPages
    from ._downloads.downloader import Downloader, Saver
    from ._downloads.media_client import MediaClient
    from ._polling.batch.batch import Batch
    from ._polling.cadence.rhythm import Rhythm
    from ._polling.cadence.service_clock import ServiceClock
    from .contract.tasks import TaskRef


class BoundToLoop(Protocol):
    """A part that holds something that is bound to an event loop."""

    def leave_loop(self) -> None:
        """Forget what is bound to the loop."""


P = TypeVar("P", bound=BoundToLoop)

_MOST_SUBMITTED = 1000
"""Submitted tasks that are remembered."""


class Secrets:
    """The secrets that no frame of a traceback may show. The `repr` of this object shows none."""

    def __init__(self, credentials: Credentials, proxy: Callable[[], str | None]) -> None:
        self.credentials = credentials
        self.proxy = proxy


class Parts:
    """The parts that a client calls directly.

    Args:
        caller: Calls the service.
        new_media_client: Makes the part that asks media hosts and stores.
    """

    def __init__(self, caller: ApiCaller, new_media_client: Callable[[], MediaClient]) -> None:
        self.caller: ApiCaller = caller
        self.http: Http = caller.http
        self.limiter: RequestLimiter = caller.http.limiter
        self.lifetime: Lifetime = caller.lifetime
        self._turns = Turns(caller.lifetime)
        drafts = DraftLookup(caller)
        self.poller: Poller = Poller(caller, self._turns, drafts)
        self.pages: TaskPages = TaskPages(caller, self._turns, drafts)
        self.just_submitted: BoundedDict[TaskRef[Any], None] = BoundedDict(_MOST_SUBMITTED)
        """The latest tasks that this client has submitted."""
        self._new_media_client = new_media_client
        for part in (self.http.sessions, self.http.credentials, self.limiter):
            self._bound(part)

    def _bound(self, part: P) -> P:
        """Return a part that, from now on, leaves its loop when the client moves to another."""
        self.lifetime.on_move(part.leave_loop)
        return part

    async def aclose(self, last: Callable[[], Awaitable[None]]) -> None:
        """Close the parts that were made, and then call `last`, even when this is cancelled."""
        made = vars(self)  # a cached property stands there once it was used
        async with AsyncExitStack() as stack:
            stack.push_async_callback(last)
            if "downloader" in made:
                stack.callback(self.downloader.close)
            if "media_client" in made:
                stack.push_async_callback(self.media_client.aclose)
            stack.push_async_callback(self.http.sessions.aclose)

    @imports
    def statistics(self, rhythm: Rhythm) -> ClientStatistics:
        """Return the statistics of the client, with what it has learned."""
        from ._api.statistics import statistics_of

        return statistics_of(self.caller, rhythm)

    def saver(
        self, where: Path | None, seconds: float, most: int, *, of_many: bool
    ) -> Saver | None:
        """Return a function that saves the files of a task; None if nothing is to be saved.

        As in `Downloader.saver`.
        """
        if where is None:
            return None
        return self.downloader.saver(where, seconds, most, of_many=of_many)

    @cached_property
    @imports
    def batch_type(self) -> type[Batch[Any]]:
        """The class of the waits for many tasks."""
        from ._polling.batch.batch import Batch

        return Batch

    @imports
    def images(self, page_size: int) -> ImageList:
        """Return the list of images, to go through."""
        from ._api.image_list import ImageList

        return ImageList(page_size, self.caller)

    @cached_property
    @imports
    def videos(self) -> VideoPages:
        """Asks for the list of videos."""
        from ._api.video_list import VideoPages

        return VideoPages(self.caller, self._turns)

    @cached_property
    @imports
    def catalog(self) -> ModelCatalog:
        """Knows the models."""
        from ._api.model_catalog import ModelCatalog

        return self._bound(ModelCatalog(self.caller))

    @cached_property
    @imports
    def submitter(self) -> Submitter:
        """Submits."""
        from ._api.request_files import FilesOfRequests
        from ._api.submit import Submitter

        files = FilesOfRequests(self.uploader, self.catalog)
        return Submitter(self.caller, self.catalog, files, self.poller, self.just_submitted)

    @cached_property
    @imports
    def uploader(self) -> Uploader:
        """Uploads files."""
        from ._api.uploader import Uploader
        from ._uploads.store import Store

        store = Store(self.media_client, self.lifetime, self.caller.request_timeout)
        return self._bound(Uploader(self.caller, store))

    @cached_property
    @imports
    def media_client(self) -> MediaClient:
        """Asks media hosts and stores, which never get the key."""
        return self._bound(self._new_media_client())

    @cached_property
    @imports
    def downloader(self) -> Downloader:
        """Saves files."""
        from ._downloads.downloader import Downloader

        time = self.caller.clock.time
        return self._bound(Downloader(self.media_client, self.poller.fetch, self.lifetime, time))


def secrets_of(
    api_key: str | Callable[[], Awaitable[str]] | None,
    proxy: str | None,
    lifetime: Lifetime,
    request_timeout: float,
) -> Secrets | ValueError:
    """Return the key and the proxy, checked and hidden; else the error to raise.

    Nothing is raised here: a traceback would show both among the locals of this frame.
    """
    credentials = credentials_from(api_key, lifetime, request_timeout)
    if isinstance(credentials, ValueError):
        return credentials
    if (wrong := proxy_objection(proxy)) is not None:
        return wrong
    return Secrets(credentials, lambda: proxy)


def assemble(
    secrets: Secrets,
    lifetime: Lifetime,
    *,
    base_url: str | None,
    session: ClientSession | None,
    language: str | None,
    request_timeout: float,
    attempts: int,
    concurrency: int,
    requests_per_second: float | None,
    ssl: SSLContext | bool | None,
    user_agent: str | None,
    trust_env: bool,
    private_media: bool | list[str],
    max_response_bytes: int,
    clock: ServiceClock,
) -> Parts:
    """Return the parts of a client. Numbers have been checked; addresses are checked here.

    Raises:
        ValueError: An address or a header cannot be used.
        TypeError: `session` or `ssl` is something else.
    """
    log_as_asked()
    address = checked_base_url(base_url)
    headers = checked_headers(user_agent or USER_AGENT, language)
    limiter = RequestLimiter(places_for(session, concurrency), requests_per_second, lifetime.now)
    proxy_for = proxies(secrets.proxy(), trust_env=trust_env)
    if (wrong := proxy_objection(proxy_for(address))) is not None:
        raise wrong
    http = Http(
        base_url=address,
        credentials=secrets.credentials,
        headers=headers,
        session=session,
        proxy_for=proxy_for,
        ssl=ssl,
        most_bytes=max_response_bytes,
        lifetime=lifetime,
        limiter=limiter,
        monitor=ServiceMonitor(str(address), limiter, lifetime.now),
    )
    allowed = allowed_networks(private_media)
    connector = None if session is None else session.connector  # a closed session has none

    def new_media_client() -> MediaClient:
        from ._downloads.media_client import MediaClient

        return MediaClient(
            plain=address.scheme == "http",
            allowed=allowed,
            connector=connector,
            proxy_for=proxy_for,
            ssl=ssl,
            user_agent=headers["User-Agent"],
            patience=request_timeout,
        )

    return Parts(ApiCaller(http, lifetime, request_timeout, attempts, clock), new_media_client)
