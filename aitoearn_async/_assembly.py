"""The parts of one client, put together. Imported when the first client is made.

The rooms behind it import aiohttp, which takes longer to load than all the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from ._api.assets import Uploader
from ._api.caller import ApiCaller
from ._api.draft_lookup import DraftLookup
from ._api.image_list import ImagePages
from ._api.model_catalog import ModelCatalog
from ._api.poll import Poller
from ._api.submit import Submitter
from ._api.task_pages import TaskPages
from ._api.turns import Turns
from ._api.uploads import BodyMaker
from ._api.video_list import VideoPages
from ._downloads.downloader import Downloader
from ._downloads.media_client import MediaClient
from ._downloads.network_guard import allowed_networks
from ._net.connection import places_for
from ._net.urls import checked_base_url, checked_headers, proxies, proxy_objection
from ._resilience.limiter import RequestLimiter
from ._resilience.monitor import ServiceMonitor
from ._runtime.lifetime import Lifetime
from ._transport.credentials import Credentials, credentials_from
from ._transport.http import USER_AGENT, Http
from ._uploads.store import Store

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import ClientSession

    from ._polling.rhythm import ServiceClock


class Secrets(NamedTuple):
    """The secrets that no frame of a traceback may show."""

    credentials: Credentials
    proxy: Callable[[], str | None]

    def __repr__(self) -> str:
        return "<secrets>"


class Parts(NamedTuple):
    """The parts that a client calls by itself."""

    lifetime: Lifetime
    limiter: RequestLimiter
    http: Http
    poller: Poller
    pages: TaskPages
    images: ImagePages
    videos: VideoPages
    catalog: ModelCatalog
    submitter: Submitter
    uploader: Uploader
    downloader: Downloader


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
    private_media: bool | str | Iterable[str],
    max_response_bytes: int,
    clock: ServiceClock,
) -> Parts:
    """Return the parts of a client. Numbers have been checked; addresses are checked here.

    Raises:
        ValueError: An address or a header cannot be used.
        TypeError: `session` or `ssl` is something else.
    """
    address = checked_base_url(base_url)
    headers = checked_headers(user_agent or USER_AGENT, language)
    now = lifetime.time
    limiter = RequestLimiter(places_for(session, concurrency), requests_per_second, now)
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
        request_timeout=request_timeout,
        most_bytes=max_response_bytes,
        lifetime=lifetime,
        limiter=limiter,
        monitor=ServiceMonitor(str(address), limiter, now),
    )
    media_client = MediaClient(
        plain=address.scheme == "http",
        allowed=allowed_networks(private_media),
        session=session,
        proxy_for=proxy_for,
        ssl=ssl,
        user_agent=headers["User-Agent"],
        patience=request_timeout,
    )
    return _parts(http, limiter, lifetime, ApiCaller(http, lifetime, attempts, clock), media_client)


def _parts(
    http: Http,
    limiter: RequestLimiter,
    lifetime: Lifetime,
    caller: ApiCaller,
    media_client: MediaClient,
) -> Parts:
    turns, catalog = Turns(lifetime), ModelCatalog(caller)
    drafts = DraftLookup(caller)
    poller = Poller(caller, turns, drafts)
    downloader = Downloader(media_client, poller.fetch, lifetime, caller.clock.time)
    uploader = Uploader(caller, Store(media_client, lifetime, http.time_for(None)))
    for part in (http.sessions, http.credentials, limiter, catalog, uploader, downloader):
        lifetime.on_move(part.leave_loop)
    return Parts(
        lifetime=lifetime,
        limiter=limiter,
        http=http,
        poller=poller,
        pages=TaskPages(caller, turns, drafts),
        images=ImagePages(caller),
        videos=VideoPages(caller, turns),
        catalog=catalog,
        submitter=Submitter(caller, catalog, BodyMaker(uploader, catalog), poller),
        uploader=uploader,
        downloader=downloader,
    )
