"""The file in an answer of a media host, or the rest of one that was asked for.

It is continued only where headers prove that it is still the version of which a part is there.
"""

from __future__ import annotations

import contextlib
import re

import aiohttp
import msgspec

from .._net.failures import failure_of
from .._net.headers import http_date, retry_after
from .checksum import checksum_of
from .part_file import PartMetadata
from .transfer_error import Reason, RefusedError, TransferError, reason_of_status, words_of

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


class MediaStream(msgspec.Struct, frozen=True, eq=False):
    """An answer with a file, or the rest of one, in it."""

    host: str
    offset: int
    """The offset in the file that it begins at."""
    metadata: PartMetadata
    """The version of the file that it is of."""
    is_open_ended: bool
    """True if nothing but the end of the connection tells the file's end."""
    stream: aiohttp.StreamReader

    async def read(self) -> bytes:
        """Read the next bytes, as they come; none at its end.

        Raises:
            TransferError: It broke off.
        """
        try:
            return await self.stream.readany()
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error = lost(self.host, exc)
        raise error


def lost(host: str | None, exception: Exception) -> TransferError:
    """Return the error for an exception in place of an answer, or in the middle of one."""
    failure = failure_of(exception)
    reason = Reason.PASSING if failure.transient else Reason.FINAL
    return TransferError(f"{host}: {failure.text}", reason)


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
        raise TransferError(f"{host} sent an empty file", Reason.MISSING)
    if said is None and status != _PARTIAL:
        start, total = 0, length  # all of it, whatever was asked for
    else:
        start, total = offset, _total_of(said or "", length, offset)
        if total is None:
            raise _changed(host) if offset else _refusal(host, response)
    now = _version(response, metadata.source, total)
    if start and not _is_same(now, metadata):
        raise _changed(host)
    return MediaStream(host, start, now, total is None and not chunked, response.content)


def _changed(host: str) -> TransferError:
    return TransferError(f"{host} has changed the file", Reason.PASSING, stale=True)


def _is_same(now: PartMetadata, before: PartMetadata) -> bool:
    return now.validator == before.validator and before.length in (None, now.length)


def _refusal(host: str, response: aiohttp.ClientResponse) -> TransferError:
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


def _total_of(content_range: str, length: int | None, offset: int) -> int | None:
    """Return the length of a file whose bytes from `offset` on, to the end, an answer has.

    None is returned for an answer that has others.
    """
    said = _RANGE.fullmatch(content_range.strip())
    first, last, total = map(int, said.groups()) if said else (-1, 0, 0)
    is_rest = first == offset and last == total - 1
    return total if is_rest and length in (None, total - offset) else None


def _version(response: aiohttp.ClientResponse, source: str, length: int | None) -> PartMetadata:
    headers = response.headers
    if not _is_plain(headers.get("Content-Encoding", "")):
        return PartMetadata(source, length=length)  # the bytes are others than those of the file
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    return PartMetadata(
        source,
        etag if _STRONG_ETAG.fullmatch(etag) else None,
        modified if modified and _is_exact(modified, headers.get("Date", "")) else None,
        length,
        checksum_of(headers),
    )


def _is_plain(encoding: str) -> bool:
    return _NO_ENCODINGS.issuperset(name.strip().lower() for name in encoding.split(","))


def _is_exact(modified: str, date: str) -> bool:
    """Return whether a date of change tells this version from one made within the same second."""
    then, now = http_date(modified), http_date(date)
    return then is not None and now is not None and (now - then).total_seconds() >= _OLD_ENOUGH
