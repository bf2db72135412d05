"""One request on the wire: the only file that opens aiohttp sessions.

It sends the key, keeps connections, reads answers up to a cap, and says what went wrong in
this package's errors. What a body means, and whether to ask again, is not known here.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import sys
import warnings
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, NamedTuple, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.hdrs import CONTENT_ENCODING
from multidict import CIMultiDict, istr
from yarl import URL

from .._version import __version__
from ..errors import (
    AiToEarnError,
    ApiError,
    RequestTimeoutError,
    TransportError,
    UnexpectedResponseError,
)
from .address import Key, origin_of, without_key
from .classify import Phase, Verdict, classify
from .connection import Body, Lost, open_session
from .health import Health
from .lifetime import Lifetime
from .limits import Limits
from .retry import retry_after

USER_AGENT = "aitoearn-async/{} (aiohttp/{}; Python/{}.{})".format(
    __version__, aiohttp.__version__, *sys.version_info[:2]
)
MOST_BYTES = 64 * 1024 * 1024
"""The decoded size of an answer. The service echoes submitted images, so they can be large."""

_STRETCH = 256 * 1024
"""Bytes that are unpacked at a stretch."""

_REQUEST_ID = istr("X-Request-Id")
_IF_NONE_MATCH = istr("If-None-Match")
# aiohttp's own timeouts are imprecise from 5 s on, and its total includes nothing of ours.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
# Below the 65 s after which the service's proxy hangs up, above the 10 s between two polls.
_KEEP_ALIVE = 15.0
_SLOWEST = 128 * 1024
"""Bytes a second that a line must carry, for a body to arrive in its time: a megabit."""


class Answer(NamedTuple):
    """A whole answer, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    wire: ResponseHandler | None
    sent: float = math.nan
    term: int = 0
    """What `Health` wants handed in with what the answer means."""

    def __repr__(self) -> str:
        # It stands among the locals of tracebacks, where nobody wants megabytes of body.
        return f"<Answer HTTP {self.status}, {len(self.body):,} bytes>"


class Http:
    """Requests to one service, with one key.

    Args:
        base_url: The service, checked.
        key: The API key, checked.
        headers: What else goes out with every request.
        session: The caller's session, which is used and left open; None for one of our own.
        options: `proxy` and `ssl`, as aiohttp's requests take them; only those that are set.
        request_timeout: Seconds for one request, from its start on the wire.
    """

    def __init__(
        self,
        *,
        base_url: URL,
        key: Key,
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
        self._key = key
        # Of encodings this one only, whatever else is installed: a bomb of the others is a
        # thousand times tighter.
        encoding = "gzip" if session is None or session.auto_decompress else "identity"
        # Not a session's own headers, though that would cost less: those go to proxies too.
        sent = {"X-Api-Key": key, "Accept": "application/json", "Accept-Encoding": encoding}
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
        before: float | None,
        *,
        etag: str | None = None,
        body: Body | None = None,
    ) -> Answer:
        """One request, one answer.

        It is sent once. Without a body it is sent again if the connection turns out to have
        been dead when it was taken; with one it goes out on a connection of its own, unless
        the session is the caller's.

        Args:
            method: `GET` or `POST`.
            path: Path below the base URL, safe to send as it is.
            request_id: Goes out as `X-Request-Id`.
            before: Moment of the client's clock at which it ends, the wait for a place included.
            etag: Goes out as `If-None-Match`; the answer may then be a 304.
            body: What to send. How far it got is noted on it.

        Raises:
            NotAskedError: The service is down, or has asked to be left alone.
            TransportError: No whole answer came.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        term, sent = self.health.admit(), None
        answer: Answer | TransportError | None = None
        try:
            with self._lifetime.bound(before) as bound:
                await self.limits.enter()
                try:
                    if not self.health.is_current(term):
                        term = self.health.admit()
                    sent = bound.tighten(self.time_for(body))
                    answer = await self._request(method, path, request_id, etag, body, sent, term)
                finally:
                    self.limits.leave()
        except TimeoutError:
            answer = self._timed_out(request_id, sent)
        finally:
            if not isinstance(answer, Answer):
                waited = 0.0 if sent is None else self._lifetime.time() - sent
                had_little_time = waited < 0.99 * self.time_for(body)
                self._tell_health(term, path, answer, had_little_time)
        if isinstance(answer, Answer):
            return answer
        assert answer is not None
        # Raised out here, where no frame and no context holds a header.
        raise answer

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

    async def _request(
        self,
        method: str,
        path: str,
        request_id: str,
        etag: str | None,
        body: Body | None,
        sent: float,
        term: int,
    ) -> Answer | TransportError:
        headers = self._headers_for(request_id, etag)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._respond(method, self._url(path), headers, body)
            content = await self._read(response)
        except BaseException as exc:
            if response is not None:
                response.close()
            if isinstance(exc, RuntimeError) or not isinstance(exc, Exception):
                raise  # a mistake in the use of aiohttp, a cancellation: not the wire's doing
            return self._failed(exc, request_id)
        wire = getattr(response, "wire", None)
        return Answer(response.status, response.headers, content, wire, sent, term)

    def _url(self, path: str) -> URL:
        # Not from text: that would parse the service's own part anew each time.
        if "?" not in path:
            return self.base_url.with_path(self._base_path + path, encoded=True)
        path, _, query = path.partition("?")
        return self.base_url.with_path(self._base_path + path, encoded=True).with_query(query)

    def _headers_for(self, request_id: str, etag: str | None) -> CIMultiDict[str]:
        headers = self._headers.copy()
        headers[_REQUEST_ID] = request_id
        if etag is not None:
            headers[_IF_NONE_MATCH] = etag
        if self._renew_next:
            self._renew_next = False
            headers["Connection"] = "close"
        return headers

    async def _respond(
        self, method: str, url: URL, headers: CIMultiDict[str], body: Body | None
    ) -> aiohttp.ClientResponse:
        session = self._session_for(body)
        if session.closed:
            raise RuntimeError("the aiohttp session given to the Client is closed")
        while True:
            try:
                return await session.request(
                    method, url, headers=headers, data=body, **self._options
                )
            except Lost as lost:
                # A server closes idle connections when it likes: no sign of trouble, and no
                # attempt. It ends: each turn uses up one of the pool, and a fresh connection
                # is not forgiven. With a body it is for the caller to say what may be sent.
                if body is not None or not lost.was_used:
                    raise

    def _session_for(self, body: Body | None) -> aiohttp.ClientSession:
        if not self._is_ours or body is None:
            if self._session is None:
                self._session = open_session(keepalive_timeout=_KEEP_ALIVE)
            return self._session
        self._fresh = self._fresh or open_session(force_close=True)
        return self._fresh

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and CONTENT_ENCODING not in response.headers:
            if length > self._most_bytes:
                raise _TooLarge
            return await response.read()
        body, turn = bytearray(), _STRETCH
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._most_bytes:
                raise _TooLarge
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

    def _failed(self, exc: Exception, request_id: str) -> TransportError:
        if isinstance(exc, _TooLarge):
            return UnexpectedResponseError(
                f"the answer is larger than {self._most_bytes:,} bytes (max_response_bytes=)",
                request_id,
                label="huge answer",
                transient=False,
            )
        verdict = classify(Phase.EXCHANGE, exception=exc)
        # Not all of a ClientResponseError: its status is made up, and its URL nothing new.
        said = exc.message if isinstance(exc, aiohttp.ClientResponseError) else str(exc)
        detail = self.scrubbed(" ".join(said.split())) or type(exc).__name__
        return cast("type[TransportError]", verdict.error)(
            f"{verdict.text}: {detail}",
            request_id,
            label=verdict.label,
            transient=verdict.transient,
        )

    def _timed_out(self, request_id: str, started: float | None) -> TransportError:
        verdict = classify(Phase.EXCHANGE, exception=TimeoutError())
        if started is None:
            text = f"still waiting for its turn ({self.limits})"
        else:
            waited = self._lifetime.time() - started
            text = f"no answer from {self.base_url.host} within {waited:.1f} s"
        return RequestTimeoutError(text, request_id, label=verdict.label)

    def refused(self, code: int, message: str, answer: Answer, request_id: str) -> AiToEarnError:
        """What an answer comes to in which the service says no, in its own words."""
        verdict = classify(Phase.ANSWER, status=answer.status, code=code)
        return cast("type[ApiError]", verdict.error)(
            code,
            self.scrubbed(message),
            request_id,
            answer.status,
            retry_after=retry_after(answer.headers),
        )

    def rejection(self, answer: Answer, request_id: str) -> AiToEarnError:
        """What an answer comes to that is not in the service's own words."""
        verdict = classify(Phase.ANSWER, status=answer.status)
        text = f"HTTP {answer.status}: {self._reason(verdict, answer)}"
        wait = retry_after(answer.headers)
        if issubclass(verdict.error, ApiError):
            return verdict.error(answer.status, text, request_id, answer.status, retry_after=wait)
        return verdict.error(
            text,
            request_id,
            answer.status,
            label=verdict.label if answer.status != 200 else "no JSON",
            retry_after=wait,
            transient=verdict.transient,
        )

    def _reason(self, verdict: Verdict, answer: Answer) -> str:
        if 300 <= answer.status < 400 and answer.status != 304:
            target = self.scrubbed(origin_of(answer.headers.get("Location", ""), self.base_url))
            return f"{verdict.text}, to {target}; is base_url= right?"
        return f"{verdict.text}; it begins {self._excerpt(answer.body)!r}"

    def _excerpt(self, body: bytes) -> str:
        text = " ".join(body[:1000].decode("utf-8", "replace").split())
        return self.scrubbed(text)

    def scrubbed(self, text: str) -> str:
        """Text from outside, fit to be shown: short, printable, without the key."""
        text = without_key(text, self._key)[:200]
        return "".join(c if c.isprintable() else "?" for c in text)


class _TooLarge(Exception):
    """The answer goes on past the cap."""
