"""An upload, from a content to its address: signed by the service, put to its store, confirmed.

It spends nothing, so it is repeated where that may help. The same bytes are uploaded once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from .._downloads.filenames import SUFFIXES
from .._downloads.retry_policy import backoff_delay
from .._downloads.transfer_error import Reason, TransferError
from .._runtime.bounded_dict import BoundedDict
from .._runtime.clock import Moment
from .._runtime.joint_calls import JointCalls
from .._runtime.lifetime import Lifetime, Timeout
from .._uploads.content import Content, opened
from .._uploads.store import Progress, Store
from ..contract.endpoints import (
    UPLOAD_CONFIRM,
    UPLOAD_SIGN,
    SignedUpload,
    confirmed_decoder,
    signed_decoder,
)
from ..contract.requests import short_repr
from ..errors import AiToEarnError, ApiError, ContractError, UnexpectedResponseError, UploadError
from .caller import ApiCaller

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aitoearn_async")

AT_A_TIME = 4
"""Files that are uploaded at the same time; more wait for their turn."""
ATTEMPTS = 5
"""The number of times one file is put to the store, when it meets transient trouble."""
REMEMBERED_SECONDS = 3600.0
"""Seconds for which the address of uploaded bytes is used again."""

_MOST_REMEMBERED = 1000
_LONGEST_DELAY = 8.0
_NO_ROUTE = (404, 405)
_NO_UPLOADS = "the service has no route for uploads (404)"
_SOUNDS = {
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/aac": ".aac",
    "audio/mp4": ".m4a",
    "audio/aiff": ".aiff",
    "audio/webm": ".weba",
    "audio/x-ms-wma": ".wma",
}


class Uploader:
    """Uploads to one service.

    Args:
        caller: Calls it.
        store: Puts contents to its store.
    """

    def __init__(self, caller: ApiCaller, store: Store) -> None:
        self.has_no_route: bool = False
        """The service has said that it takes no uploads."""
        self._caller = caller
        self.lifetime: Lifetime = caller.lifetime
        self._store = store
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._known: BoundedDict[bytes, tuple[str, Moment]] = BoundedDict(_MOST_REMEMBERED)
        self._joint = JointCalls(AiToEarnError, TransferError)

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._joint.leave_loop()

    async def upload_all(self, contents: Sequence[Content], progress: Progress | None) -> list[str]:
        """Upload several, some of them at the same time, and return their addresses.

        Args:
            contents: The files.
            progress: Is told how many bytes of all of them have gone out.

        Raises:
            UploadError: One of them could not be uploaded.
            AiToEarnError: The service refuses, or could not be reached.
        """
        tells = _shares(len(contents), sum(content.size for content in contents), progress)
        return await together([self.upload(*each) for each in zip(contents, tells, strict=True)])

    async def upload_source(self, source: Any, progress: Progress | None) -> str:
        """Upload a source of any kind; else as `upload`.

        Raises:
            ValueError: It is empty, too large, or of no type that is known.
            OSError: It cannot be read.
        """
        with Timeout(self.lifetime):
            async with opened(source, short_repr(source), field="source", medium=None) as content:
                return await self.upload(content, progress)

    async def upload(self, content: Content, progress: Progress | None) -> str:
        """Upload one, and return its address; that of the same bytes if there is one.

        It has no timeout of its own: whoever opens the file ends this too when the client closes.

        Raises:
            UploadError: It could not be uploaded.
            AiToEarnError: The service refuses, or could not be reached.
        """
        digest = await content.digest()
        upload = partial(self._known_or_uploaded, digest, content, progress)
        try:
            return await self._joint.call(digest, upload)
        except TransferError as error:
            failed = error
        raise UploadError(f"{content.name}: {failed}", transient=failed.transient)

    async def _known_or_uploaded(
        self, digest: bytes, content: Content, progress: Progress | None
    ) -> str:
        known = self._known.get(digest)
        if known is not None and self.lifetime.age(known[1]) < REMEMBERED_SECONDS:
            if progress is not None:
                progress(content.size, content.size)
            return known[0]
        async with self._places:
            address = await self._upload(content, progress)
        self._known.pop(digest, None)  # it becomes the newest
        self._known[digest] = address, self.lifetime.moment()
        return address

    async def _upload(self, content: Content, progress: Progress | None) -> str:
        signed = await self._sign(content)
        attempt = 1
        while True:
            try:
                await self._store.put(signed.upload_url, content, progress)
                return await self._confirm(signed)
            except TransferError as error:
                if not error.transient or attempt == ATTEMPTS:
                    raise
                failed = error
            logger.debug("an upload of %d bytes: %s", content.size, failed)
            await self.lifetime.sleep(backoff_delay(attempt, _LONGEST_DELAY, failed.retry_after))
            if failed.reason is Reason.MISSING:  # its address is no longer good
                signed = await self._sign(content)
            attempt += 1

    async def _sign(self, content: Content) -> SignedUpload:
        if self.has_no_route:
            raise UploadError(_NO_UPLOADS)
        kind = content.media_type.partition("/")[0]
        suffix = SUFFIXES.get(content.media_type) or _SOUNDS.get(content.media_type, ".bin")
        # Not the file's own name: that is nobody's business.
        body = {"filename": f"{kind}{suffix}", "type": "temp", "size": content.size}
        data = msgspec.json.encode(body)
        try:
            return await self._caller.call(UPLOAD_SIGN, signed_decoder, data=data)
        except (ApiError, UnexpectedResponseError) as error:
            # In the service's words, or in those of a gateway that lets other routes through.
            said = error.code if isinstance(error, ApiError) else error.http_status
            if said not in _NO_ROUTE:
                raise
        self.has_no_route = True
        raise UploadError(_NO_UPLOADS)

    async def _confirm(self, signed: SignedUpload) -> str:
        path = UPLOAD_CONFIRM.format(id=quote(signed.id, safe=""))
        confirmed = await self._caller.call(path, confirmed_decoder, data=b"{}")
        for address in (confirmed.url, signed.url):
            if address is not None and address.lower().startswith(("https://", "http://")):
                return address
        raise ContractError("an upload is confirmed without an address")


def _shares(count: int, size: int, progress: Progress | None) -> list[Progress | None]:
    """Return a progress hook for each of several files; together they report one upload."""
    sent = [0] * count

    def tell(number: int, done: int, _: int | None) -> None:
        sent[number] = done
        if progress is not None:
            progress(sum(sent), size)

    return [None if progress is None else partial(tell, number) for number in range(count)]


async def together(calls: Sequence[Awaitable[T]]) -> list[T]:
    """Await all of them at once; the first error ends the others, and is raised."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = [task for task in tasks if task.done() and task.exception() is not None]
        return [task.result() for task in failed or tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
