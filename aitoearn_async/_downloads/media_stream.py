"""The file in an answer of a media host, or the rest of one that was asked for.

It is continued only where headers prove that it is still the version of which a part is there.
"""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

import aiohttp

from .._net.failures import failure_of
from .._net.headers import http_date, retry_after
from .checksum import checksum_of
from .fetch_error import FetchError, Reason, RefusedError, reason_of_status, words_of
from .part_file import PartMetadata

_WRONG_RANGE = 416
_PARTIAL = 206
_WITH_A_FILE = 200, 201, 203, _PARTIAL, 226
"""Statuses under which a file may come: proxies that change something say 203."""
_STRONG_ETAG = re.compile(r'"[!#-~]{0,200}"')
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_NO_ENCODINGS = frozenset(["", "identity", "aws-chunked"])
"""Encodings that change nothing. The last is of uploads, and some stores give it back."""
_MOST_SAID = 4096
# From this many seconds on a date of change tells two versions apart (RFC 9110, 8.8.2.2).
_OLD_ENOUGH = 60.0


class MediaStream:
    """An answer with a file, or the rest of one, in it.

    Attributes:
        host: Where it comes from.
        offset: Where in the file it begins.
        metadata: Which version of the file it is of.
        is_open_ended: Whether nothing but the end of the connection tells the file's end.
    """

    def __init__(
        self,
        host: str,
        offset: int,
        metadata: PartMetadata,
        stream: aiohttp.StreamReader,
        *,
        is_open_ended: bool,
    ) -> None:
        self.host: str = host
        self.offset: int = offset
        self.metadata: PartMetadata = metadata
        self.is_open_ended: bool = is_open_ended
        self._stream = stream

    async def read(self) -> bytes:
        """Read the next bytes, as they come; none at its end.

        Raises:
            FetchError: It broke off.
        """
        try:
            return await self._stream.readany()
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error = lost(self.host, exc)
        raise error


def lost(host: str | None, exception: Exception) -> FetchError:
    """Return the error for an exception in place of an answer, or in the middle of one."""
    failure = failure_of(exception)
    reason = Reason.PASSING if failure.transient else Reason.FINAL
    return FetchError(f"{host}: {failure.text}", reason)


class _ByteRange(NamedTuple):
    """The bytes that an answer says it holds (`Content-Range`)."""

    first: int
    last: int
    total: int


def stream_of(response: aiohttp.ClientResponse, offset: int, metadata: PartMetadata) -> MediaStream:
    """Return the file in an answer, or the rest that was asked for.

    `Content-Range` counts whatever the status: some stores answer a Range with 200, and some
    ignore `If-Range`. What does not fit the part that is there makes an end of the part.
    """
    host, status = response.url.host or "", response.status
    if offset and status == _WRONG_RANGE:
        raise _changed(host)
    if status not in _WITH_A_FILE:
        raise _refusal(host, response)
    # `Content-Length` counts for nothing beside `chunked`, which has an end of its own.
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    length = None if chunked else response.content_length
    said = response.headers.get("Content-Range")
    if length == 0 and said is None:
        raise FetchError(f"{host} sent an empty file", Reason.MISSING)
    span = _span(said or "")
    start = offset
    if said is None and status != _PARTIAL:
        start, total = 0, length
    elif span is None or not _fits(span, length, offset):
        raise _changed(host) if offset else _refusal(host, response)
    else:
        total = span.total
    now = _version(response, metadata.source, total)
    if start and not _is_same(now, metadata):
        raise _changed(host)
    open_ended = total is None and not chunked
    return MediaStream(host, start, now, response.content, is_open_ended=open_ended)


def _changed(host: str) -> FetchError:
    return FetchError(f"{host} has changed the file", Reason.PASSING, stale=True)


def _is_same(now: PartMetadata, before: PartMetadata) -> bool:
    return now.validator == before.validator and before.length in (None, now.length)


def _refusal(host: str, response: aiohttp.ClientResponse) -> FetchError:
    return RefusedError(
        f"{host} answered HTTP {response.status}{beginning_of(response)}",
        reason_of_status(response.status),
        retry_after=retry_after(response.headers),
    )


def beginning_of(response: aiohttp.ClientResponse) -> str:
    """Return the words in what has come of an answer by now: nothing more is waited for."""
    with contextlib.suppress(aiohttp.ClientError, OSError, ValueError, RuntimeError):
        return words_of(response.content.read_nowait(_MOST_SAID))
    return ""


def _span(text: str) -> _ByteRange | None:
    said = _RANGE.fullmatch(text.strip())
    return _ByteRange(*map(int, said.groups())) if said else None


def _fits(span: _ByteRange, length: int | None, offset: int) -> bool:
    """Return whether these are the bytes from `offset` on, to the end."""
    is_rest = span.first == offset and span.last == span.total - 1
    return is_rest and length in (None, span.total - offset)


def _version(response: aiohttp.ClientResponse, source: str, length: int | None) -> PartMetadata:
    etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified")
    if modified is not None and not _is_exact(modified, response.headers.get("Date")):
        modified = None
    etag = etag if _STRONG_ETAG.fullmatch(etag) else ""
    checksum = checksum_of(response.headers)
    if not _is_plain(response.headers.get("Content-Encoding", "")):
        etag, modified, checksum = "", None, None  # the bytes are others than those of the file
    return PartMetadata(source, etag or None, modified, length, checksum)


def _is_plain(encoding: str) -> bool:
    return _NO_ENCODINGS.issuperset(name.strip().lower() for name in encoding.split(","))


def _is_exact(modified: str, date: str | None) -> bool:
    """Return whether a date of change tells this version from one made within the same second."""
    then, now = http_date(modified), http_date(date or "")
    return then is not None and now is not None and (now - then).total_seconds() >= _OLD_ENOUGH
