"""One request on the wire: the only file that opens aiohttp sessions.

It sends the key, keeps connections, and reads answers up to a cap. What went wrong is put into
words elsewhere; what a body means, and whether to ask again, is not known here.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import warnings
from collections.abc import Awaitable, Mapping
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp.hdrs import CONTENT_ENCODING
from multidict import CIMultiDict, istr
from yarl import URL

from .._version import __version__
from ..errors import (
    NotAskedError,
    RequestTimeoutError,
    TransportError,
)
from .answer import Answer
from .classify import Phase, classify, is_a_mistake
from .connection import Body, Lost, open_session
from .health import Health
from .keys import Keys
from .lifetime import Bound, Lifetime, is_cancelled
from .limits import Limits
from .trouble import TooLarge, Trouble

USER_AGENT = "aitoearn-async/{} (aiohttp/{}; Python/{}.{})".format(
    __version__, aiohttp.__version__, *sys.version_info[:2]
)
MOST_BYTES = 64 * 1024 * 1024
"""The decoded size of an answer. The service echoes submitted images, so they can be large."""

_STRETCH = 256 * 1024
"""Bytes that are unpacked at a stretch."""

_KEY = istr("X-Api-Key")
_REQUEST_ID = istr("X-Request-Id")
_IF_NONE_MATCH = istr("If-None-Match")
# aiohttp's own timeouts are imprecise from 5 s on, and its total includes nothing of ours.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
# Below the 65 s after which the service's proxy hangs up, above the 10 s between two polls.
_KEEP_ALIVE = 15.0
_SLOWEST = 128 * 1024
"""Bytes a second that a line must carry, for a body to arrive in its time: a megabit."""
_CLOSED_SESSION = "the aiohttp session given to the Client is closed"
_CANCELLED = "something was cancelled that the aiohttp session given to the Client had waited for"


class Http:
    """Requests to one service, with one key at a time.

    Args:
        base_url: The service, checked.
        keys: The API key, and where the next one comes from.
        headers: What else goes out with every request.
        session: The caller's session, which is used and left open; None for one of our own.
        options: `proxy` and `ssl`, as aiohttp's requests take them; only those that are set.
        request_timeout: Seconds for one request, from its start on the wire.
    """

    def __init__(
        self,
        *,
        base_url: URL,
        keys: Keys,
        headers: Mapping[str, str],
        session: aiohttp.ClientSession | None,
        options: Mapping[str, Any],
        request_timeout: float,
        most_bytes: int,
        lifetime: Lifetime,
        limits: Limits,
        health: Health,
    ) -> None:
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError(f"session= is an aiohttp.ClientSession, not {session!r:.60}")
        if not isinstance(options.get("ssl", True), SSLContext | bool | aiohttp.Fingerprint):
            raise TypeError("ssl= is an ssl.SSLContext, or False to verify nothing")
        self.base_url = base_url
        self.name: str = secrets.token_hex(6)
        """How all of this client's request ids begin."""
        self._base_path = base_url.raw_path.rstrip("/")
        self.keys = keys
        self.trouble: Trouble = Trouble(base_url, keys)
        # Of encodings this one only, whatever else is installed: a bomb of the others is a
        # thousand times tighter.
        encoding = "gzip" if session is None or session.auto_decompress else "identity"
        # Not a session's own headers, though that would cost less: those go to proxies too.
        sent = {"Accept": "application/json", "Accept-Encoding": encoding}
        # An `istr` knows its lower case, which aiohttp asks for several times a request.
        self._headers = CIMultiDict[str](
            {istr(name): value for name, value in {**sent, **headers}.items()}
        )
        self._session = session
        self._fresh: aiohttp.ClientSession | None = None  # each request on a new connection
        self._is_ours = session is None
        self._options: dict[str, Any] = {
            "allow_redirects": False,
            "raise_for_status": False,
            "timeout": _NO_TIMEOUT,
            **options,
        }
        self._request_timeout = request_timeout
        self._most_bytes = most_bytes
        self._lifetime = lifetime
        self.limits = limits
        self.health = health
        self._renew_next = False

    async def send(
        self,
        method: str,
        path: str,
        request_id: str,
        before: float,
        *,
        etag: str | None = None,
        body: Body | None = None,
    ) -> Answer | TransportError:
        """One request, and its answer, or what went wrong.

        It is sent once. Without a body it is sent again if the connection turns out to have
        been dead when it was taken; with one it goes out on a connection of its own, unless
        the session is the caller's, and is no probe. `NotAskedError` is returned where the
        service is down, or has asked to be left alone.

        Args:
            method: `GET` or `POST`.
            path: Path below the base URL, safe to send as it is.
            request_id: Goes out as `X-Request-Id`.
            before: Moment of the client's clock at which it ends, the wait for a place included.
            etag: Goes out as `If-None-Match`; the answer may then be a 304.
            body: What to send. How far it got is noted on it.

        Raises:
            ClientClosedError: The client is closed, or was meanwhile.
        """
        clock = self._lifetime.enter()
        # What spends credits is no probe: it had better not get lost.
        probe = body is None
        term: int | TransportError = self.health.admit(probe=probe)
        if not isinstance(term, TransportError) and not self.limits.enter_now():
            term = await self._wait_for_turn(term, request_id, before, probe=probe)
        if isinstance(term, TransportError):
            # If nothing was waited for, others on the loop have their turn before the next is held.
            await asyncio.sleep(0)
            return term
        if self.keys.awaited:
            none = await self._wait_for_key(term, request_id, before)
            if none is not None:
                return none
        sent, key = clock.time(), self.keys.number
        time = self._request_timeout if body is None else self.time_for(body)
        result: Answer | TransportError | None = None
        try:
            with Bound(self._lifetime, min(before, sent + time)):
                result = await self._exchange(method, path, request_id, etag, body)
                result.sent, result.term, result.key = sent, term, key
        except Exception as exc:
            if is_a_mistake(exc):
                raise
            result = self.trouble.raised(exc, request_id, clock.time() - sent)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            closed = self._session is not None and self._session.closed
            raise RuntimeError(_CLOSED_SESSION if closed else _CANCELLED) from None
        finally:
            self.limits.leave()
            if not isinstance(result, Answer):
                self._tell_health(term, path, result, clock.time() - sent < 0.99 * time)
        assert result is not None
        return result

    async def _wait_for_turn(
        self, term: int, request_id: str, before: float, *, probe: bool
    ) -> int | TransportError:
        """Wait to be let in. Returns what `Health.admit` returned last."""
        try:
            with Bound(self._lifetime, before):
                await self.limits.enter()
        except BaseException as exc:
            self.health.neither(term)
            if not isinstance(exc, TimeoutError):
                raise
            label = classify(Phase.EXCHANGE, exception=exc).label
            text = f"still waiting for its turn ({self.limits})"
            return RequestTimeoutError(text, request_id, label=label)
        if self.health.is_current(term):
            return term
        self.health.neither(term)
        again = self.health.admit(probe=probe)
        if isinstance(again, NotAskedError):
            self.limits.leave_unasked()
        return again

    async def _wait_for_key(
        self, term: int, request_id: str, before: float
    ) -> RequestTimeoutError | None:
        """Wait for a key, the first or the next one, in the place that was taken."""
        try:
            late = await self.keys.ready(before)
        except BaseException:
            self._go_unasked(term)
            raise
        if late is None:
            return None
        self._go_unasked(term)
        return RequestTimeoutError(f"not sent: {late}", request_id, label="no key")

    def _go_unasked(self, term: int) -> None:
        """Give up the place of a request that was not sent."""
        self.limits.leave_unasked()
        self.health.neither(term)

    def _tell_health(
        self, term: int, path: str, error: TransportError | None, had_little_time: bool
    ) -> None:
        """What no answer says of the service. Of an answer, those speak who can read it."""
        if error is None or (isinstance(error, RequestTimeoutError) and had_little_time):
            self.health.neither(term)  # broken off by the caller, or by his deadline
        else:
            self.health.bad(term, path.partition("?")[0], error)

    def time_for(self, body: Body | None) -> float:
        """Seconds that one request may take: `request_timeout`, and time to send its body."""
        size = (body.size or 0) if body is not None else 0
        return self._request_timeout + size / _SLOWEST

    def _url(self, path: str) -> URL:
        # Not from text: that would parse the service's own part anew each time.
        if "?" not in path:
            return self.base_url.with_path(self._base_path + path, encoded=True)
        path, _, query = path.partition("?")
        return self.base_url.with_path(self._base_path + path, encoded=True).with_query(query)

    def _headers_for(self, request_id: str, etag: str | None) -> CIMultiDict[str]:
        headers = self._headers.copy()
        headers[_KEY] = self.keys.current
        headers[_REQUEST_ID] = request_id
        if etag is not None:
            headers[_IF_NONE_MATCH] = etag
        if self._renew_next:
            self._renew_next = False
            headers["Connection"] = "close"
        return headers

    async def _exchange(
        self, method: str, path: str, request_id: str, etag: str | None, body: Body | None
    ) -> Answer:
        session = self._session_for(body)
        url, headers = self._url(path), self._headers_for(request_id, etag)
        while True:
            try:
                response = await session.request(
                    method, url, headers=headers, data=body, **self._options
                )
                break
            except Lost as lost:
                # A server closes idle connections when it likes: no sign of trouble, and no
                # attempt. It ends: each turn uses up one of the pool, and a fresh connection
                # is not forgiven. With a body it is for the caller to say what may be sent.
                if body is not None or not lost.was_used:
                    raise
            except RuntimeError:
                if session.closed:
                    raise RuntimeError(_CLOSED_SESSION) from None
                raise
        try:
            content = await self._read(response)
        except BaseException:
            response.close()
            raise
        wire = getattr(response, "wire", None)
        return Answer(response.status, response.headers, content, wire)

    def _session_for(self, body: Body | None) -> aiohttp.ClientSession:
        if body is not None and self._is_ours:
            self._fresh = self._fresh or open_session(force_close=True)
            return self._fresh
        if self._session is None:
            self._session = open_session(keepalive_timeout=_KEEP_ALIVE)
        return self._session

    def _read(self, response: aiohttp.ClientResponse) -> Awaitable[bytes]:
        length = response.content_length
        if length is None or CONTENT_ENCODING in response.headers:
            return self._read_on(response)
        if length > self._most_bytes:
            raise TooLarge(self._most_bytes)
        return response.read()

    async def _read_on(self, response: aiohttp.ClientResponse) -> bytes:
        """Read an answer whose size is not known beforehand."""
        body, turn = bytearray(), _STRETCH
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._most_bytes:
                raise TooLarge(self._most_bytes)
            if len(body) >= turn:
                # What a small body unpacks to is all there at once: the loop has others to serve.
                turn = len(body) + _STRETCH
                await asyncio.sleep(0)
        return bytes(body)

    def __del__(self) -> None:
        if not getattr(self, "_is_ours", False):
            return
        if any(session is not None and not session.closed for session in self._sessions()):
            warnings.warn(
                f"a Client of {self.base_url} was dropped without being closed: use "
                "`async with Client()`, or call aclose()",
                ResourceWarning,
                stacklevel=2,
            )

    def _sessions(self) -> tuple[aiohttp.ClientSession | None, ...]:
        return getattr(self, "_session", None), getattr(self, "_fresh", None)

    async def aclose(self) -> None:
        """Close our own sessions; a caller's stays open."""
        for session in self._sessions():
            if self._is_ours and session is not None:
                await session.close()

    def drop(self, answer: Answer) -> None:
        """Give up the connection an answer came on: what it sends belongs to somebody else."""
        if answer.wire is None:
            self._renew_next = True  # a caller's session: have the server close it
        elif answer.wire.transport is not None:
            answer.wire.transport.abort()
