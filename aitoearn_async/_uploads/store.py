"""One PUT of a content to a signed address: the store gets its bytes and no key.

It goes out over the sessions that downloads use: no key, no cookies, and no internal network
that is not allowed. When to try again is decided elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from .._downloads.media_client import MOST_HOPS, MediaClient
from .._downloads.media_stream import beginning_of
from .._downloads.stall_timer import StallTimer
from .._downloads.transfer_error import Reason, TransferError
from .._net.headers import retry_after
from .._runtime.lifetime import Lifetime
from .content import Content, ContentReader

Progress = Callable[[int, int | None], None]
"""Takes the number of bytes that have gone out, and the number of all."""

_BUFFERS = 8 * 1024 * 1024
"""Bytes that may be on their way after the last one was written."""
_SLOWEST = 128 * 1024
"""Bytes a second that a line must carry."""
_PASSING = frozenset([400, 408, 409, 411, 425, 429])
"""The statuses that another attempt may change. S3 says 400 for a body that came too slowly."""
_SIGNATURE = frozenset([401, 403])
"""The statuses of an address whose signature is wrong, or has expired."""
_KEEP_METHOD = frozenset([307, 308])


class Store:
    """Puts contents to signed addresses.

    Args:
        client: Sends requests without the key.
        lifetime: The client's.
        patience: Seconds for which a PUT may stand still, in addition to those in which buffers
            empty.
    """

    def __init__(self, client: MediaClient, lifetime: Lifetime, patience: float) -> None:
        self._client = client
        self._lifetime = lifetime
        self._patience = patience

    async def put(self, address: str, content: Content, progress: Progress | None) -> None:
        """Put a content, once.

        Raises:
            TransferError: The store did not take it.
            ValueError: The file has changed since it was looked at.
            OSError: It cannot be read any more.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        seconds = self._patience + min(content.size, _BUFFERS) / _SLOWEST
        timer = StallTimer(self._lifetime, seconds)

        def tell(size: int) -> None:
            timer.advance(size)
            if progress is not None:
                progress(body.at, content.size)

        digest = await content.digest()
        body = ContentBody(content, digest, tell)
        error: Exception | None = None
        try:
            with timer:
                timer.start()
                url, headers = self._client.check(address), {"Content-Type": content.media_type}
                for _ in range(MOST_HOPS + 1):
                    response = await self._client.request("PUT", url, headers, body)
                    target, error = response.headers.get("Location"), _refusal(response)
                    response.close()
                    if response.status not in _KEEP_METHOD or target is None:
                        break
                    url = self._client.check(target, url)
                    body = ContentBody(content, digest, tell)
        except TimeoutError:
            error = TransferError(f"the store did nothing for {seconds:.0f} s", Reason.PASSING)
        except TransferError as exc:
            error = exc
        if body.failure is not None:
            error = body.failure
        # Raised out here, where no context holds an address.
        if error is not None:
            raise error


def _refusal(response: aiohttp.ClientResponse) -> TransferError | None:
    status, host = response.status, response.url.host
    if 200 <= status < 300:
        return None
    reason = Reason.PASSING if status in _PASSING or status >= 500 else Reason.FINAL
    return TransferError(
        f"{host} answered HTTP {status} to the upload{beginning_of(response)}",
        Reason.MISSING if status in _SIGNATURE else reason,
        retry_after=retry_after(response.headers),
    )


class ContentBody(aiohttp.Payload):
    """The body of an upload, sent in chunks. Its length is known, as stores require.

    Attributes:
        at: How many bytes have gone out.
        failure: What went wrong at this end, if anything.
    """

    def __init__(self, content: Content, digest: bytes, tell: Callable[[int], None]) -> None:
        super().__init__(content, content_type=content.media_type)
        self._size = content.size
        self._content = content
        self._digest = digest
        self._tell = tell
        self.at: int = 0
        self.failure: Exception | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("an upload is no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        reading = ContentReader(self._content)
        while reading.at < self._content.size:
            with self._noting_failure():
                chunk = await self._content.call(reading.next)
                if reading.at == self._content.size and reading.hash.digest() != self._digest:
                    # Before its last bytes have gone out: so the store keeps nothing of it.
                    raise self._content.changed()
            await writer.write(chunk)  # an error of this is the line's
            self.at = reading.at
            with self._noting_failure():
                self._tell(len(chunk))

    @contextlib.contextmanager
    def _noting_failure(self) -> Generator[None]:
        """Note an error of the file or of the hook: another attempt would meet it again."""
        try:
            yield
        except Exception as exc:
            self.failure = exc
            raise
