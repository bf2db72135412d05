"""One file: each attempt fetches what the disk does not have yet of it, and judges the whole.

A complete file has the length and the checksum that were announced, is an image or a video, and is
whole by its own structure. A `TransferError` says what is wrong; whether to try again is decided
elsewhere.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import msgspec
from yarl import URL

from .._containers.media_types import HEAD_BYTES, UTF_16, media_types_of
from .._net.body import GZIP
from .._runtime.threads import Calls
from ..contract.data_uris import bytes_of
from ..contract.outputs import Result
from .checksum import checksum_in
from .filenames import SUFFIXES, Destination, FileName
from .media_client import MediaClient
from .media_stream import MediaStream
from .media_urls import plain_path
from .part_file import PartFile, PartMetadata
from .stall_timer import StallTimer
from .transfer_error import Reason, RefusedError, TransferError, reason_of_errno, words_of

logger: logging.Logger = logging.getLogger("aitoearn_async")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes of a file that there are, and that there will be, if known."""

_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\f\r\x1b")) + b"\x7f"


class DownloadOptions(msgspec.Struct, frozen=True):
    """The options of one download."""

    to: Destination
    timeout: float
    """Seconds for which it may stand still, once it has its turn."""
    most: int
    """Bytes past which a file is given up."""
    progress: Progress | None


class Transfer:
    """The transfer of one file, of a kind (`"image"` or `"video"`), to be saved under a name.

    Attributes:
        reached: The most bytes of it that there have been, here or with another download.
    """

    def __init__(
        self,
        client: MediaClient,
        options: DownloadOptions,
        kind: str,
        name: FileName,
        timer: StallTimer,
        calls: Calls,
    ) -> None:
        self.reached: int = 0
        self._client = client
        self._options = options
        self._kind = kind
        self._name = name
        self._timer = timer
        self._calls = calls
        self._found_checksum: str | None = None  # of what came whole, and was not believed

    async def attempt(self, result: Result) -> Path:
        """Make an attempt: fetch what is missing of the file, and give it its name.

        Args:
            result: The file, where it is by now.

        Returns:
            Where it is; also one that was there before.

        Raises:
            TransferError: It did not come, or another download is writing it.
        """
        part = PartFile(self._options.to.directory, *self._name)
        try:
            return await self._disk(part.open) or await self._save(part, result)
        except BaseException as error:
            self.reached = max(self.reached, part.size)
            is_stale = isinstance(error, TransferError) and error.stale
            await self._calls.end(part.discard if is_stale else part.close)
            if isinstance(error, TransferError) and error.reason is Reason.CUT:
                # It came along with an answer that was cut short: the next may hold all of it.
                error.may_have_moved = result.data is not None
            raise

    async def _save(self, part: PartFile, result: Result) -> Path:
        """Save what came along in the task; what did not, or is not whole, from its address."""
        if result.data is not None:
            try:
                return await self._disk(self._save_inline, part, result)
            except TransferError:
                if result.url is None:
                    raise
        needs_proof = await self._fetch_checked(part, result.url or "")
        return await self._disk(self._finish, part, needs_proof)

    def _save_inline(self, part: PartFile, result: Result) -> Path:
        """Save a file that came as text in the task itself. For threads."""
        part.restart(PartMetadata())
        try:
            for piece in bytes_of(result.data or "", is_base64=result.is_base64):
                self._add(part, piece)
                part.write()
        except ValueError:
            raise TransferError("what came along is no base64", stale=True) from None
        return self._finish(part, needs_proof=False)

    async def _fetch_checked(self, part: PartFile, address: str) -> bool:
        """Fetch what is missing, and all of it once more where it has not the file's checksum.

        Returns:
            Whether its host has not told its end, so that only the file itself can.
        """
        url = self._client.check(address)
        needs_proof = await self._fetch(part, url)
        is_right = await self._has_checksum(part, url)
        if is_right is False:
            first = part.metadata
            try:
                needs_proof = await self._fetch(part, url, anew=True)
            except TransferError as error:
                is_as_it_was = part.metadata is first
                if is_as_it_was and _is_refused(error):
                    return needs_proof  # its address was good for one request: it is all there is
                error.stale |= is_as_it_was  # it must not be taken for what came twice
                raise
            is_right = await self._has_checksum(part, url)
        if is_right is False:
            text = f"{url.host}: the file's bytes are not those of its checksum"
            raise TransferError(text, Reason.CUT, stale=True)
        return needs_proof and not is_right

    async def _has_checksum(self, part: PartFile, url: URL) -> bool | None:
        """Return whether a file has the checksum that was announced; None where nobody can tell.

        The same bytes twice are the file: then it is its host that is wrong, as a CDN is which
        makes images smaller, and passes on the checksums of those that it got.
        """
        checksum, mistaken = part.metadata.checksum, self._client.mistaken
        if checksum is None or url.host in mistaken:
            return None
        found = await self._disk(part.judged_by, partial(checksum_in, checksum))
        if found == checksum:
            return True
        if found == self._found_checksum:
            mistaken[url.host] = None
            text = "%s sends checksums that its files do not have: they are ignored from now on"
            logger.warning(text, url.host)
            return None
        self._found_checksum = found
        return False

    async def _fetch(self, part: PartFile, url: URL, *, anew: bool = False) -> bool:
        """Fetch what is missing, or all. Return whether only the file itself can tell its end."""
        source, offset = _fingerprint(url), part.size
        if anew or part.metadata.source != source or part.metadata.validator is None:
            offset = 0
        if offset and offset == part.metadata.length:
            return False  # all of it came, and then something happened
        known = part.metadata if offset else PartMetadata(source)
        async with self._client.fetch(url, offset, known) as body:
            self._check_size(max(body.metadata.length or 0, body.offset))
            await self._receive(body, part, is_resumed=offset > 0)
        if body.metadata.length is not None and part.size != body.metadata.length:
            raise TransferError(f"{body.host}: the file broke off", Reason.PASSING, stale=True)
        return body.is_open_ended

    async def _receive(self, body: MediaStream, part: PartFile, *, is_resumed: bool) -> None:
        """Add what comes to the part. Its last bytes are written when it is judged, or closed."""
        self._count(body.offset, body)
        if not body.offset:
            head = await self._head(body, is_resumed=is_resumed)
            part.restart(body.metadata, is_believed=is_resumed)
            self._add(part, head)
        while chunk := await self._next(body, part):
            self._timer.advance(len(chunk))
            self._add(part, chunk)
            if part.has_block:
                await self._disk(part.write)
                self._count(part.size, body)
        self._count_rest(part, body)

    async def _next(self, body: MediaStream, part: PartFile) -> bytes:
        try:
            return await body.read()
        except TransferError:
            self._count_rest(part, body)  # it is kept
            raise

    def _add(self, part: PartFile, data: bytes | bytearray) -> None:
        part.append(data)
        self._check_size(part.size)

    async def _head(self, body: MediaStream, *, is_resumed: bool) -> bytearray:
        """Read the first bytes, and look at them. What is not the file is no progress."""
        head = bytearray()
        while len(head) < HEAD_BYTES and (chunk := await body.read()):
            head += chunk
        self._check_head(bytes(head[:HEAD_BYTES]), body.host, is_resumed=is_resumed)
        self._timer.advance(len(head))
        return head

    def _check_head(self, head: bytes, host: str, *, is_resumed: bool) -> None:
        """Look at the first bytes: what cannot be the file is not fetched to its end."""
        types = media_types_of(head)
        if any(found.startswith(f"{self._kind}/") for found in types):
            return
        what = f"what {host} sent is no {self._kind} but"
        if not head:
            raise TransferError(f"{what} nothing", Reason.MISSING)
        if not types and _is_page(_unpacked(head)):
            # A storage that does not have the file yet says so in any words, with any status.
            raise TransferError(f"{what} text{words_of(head)}", Reason.MISSING)
        if is_resumed:
            # It is the rest, as asked for, under a status that calls it the whole.
            raise TransferError(f"{host} has changed the file", Reason.PASSING, stale=True)
        packed = "gzip, which nobody asked for" if head.startswith(GZIP) else "something else"
        raise TransferError(f"{what} {types[0] if types else packed}")

    def _count(self, size: int, body: MediaStream) -> None:
        """Count the bytes there are by now, and tell the caller of them."""
        self.reached = max(self.reached, size)
        if self._options.progress is not None:
            self._options.progress(size, body.metadata.length)

    def _count_rest(self, part: PartFile, body: MediaStream) -> None:
        if part.is_behind:
            self._count(part.size, body)

    def _check_size(self, size: int) -> None:
        if size > self._options.most:
            text = f"it is larger than {self._options.most:,} bytes (max_bytes=)"
            raise TransferError(text, stale=True)

    def _finish(self, part: PartFile, needs_proof: bool) -> Path:
        """Give the file its name, unless its structure shows that it is not whole. For threads."""
        # Late: a client that saves nothing does without a room of ten files.
        from .._containers.examine import examine
        from .._containers.reader import Completeness

        judged = part.judged_by(examine)
        media = judged.media_type or "something else"
        if judged.completeness is Completeness.CUT:
            raise TransferError(
                f"the file is cut off: its {part.size:,} bytes are not all of this {media}",
                Reason.CUT,
                stale=True,
            )
        if media not in SUFFIXES or not media.startswith(f"{self._kind}/"):
            raise TransferError(f"it is no {self._kind} but {media}", stale=True)
        if needs_proof and judged.completeness is not Completeness.WHOLE:
            raise TransferError(
                "its host does not say how long the file is, and nor does the file, so nobody "
                "can tell its end",
                stale=True,
            )
        if self._calls.is_given_up:
            raise TransferError("given up meanwhile")  # to nobody: the part stays as it is
        return part.finish(self._name.whole(media))

    async def _disk(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call what works on the disk, in a thread."""
        try:
            return await self._calls.call(call, *args)
        except (OSError, MemoryError) as exc:
            number = exc.errno if isinstance(exc, OSError) else None
            lacks_memory = isinstance(exc, MemoryError)
            said = "no memory left" if lacks_memory else getattr(exc, "strerror", None) or exc
            error = TransferError(
                f"{said}, in {self._options.to.given}",
                Reason.PASSING if lacks_memory else reason_of_errno(number),
            )
            error.__cause__ = exc.with_traceback(None)
        raise error


def _is_refused(error: TransferError) -> bool:
    return isinstance(error, RefusedError) and error.reason is not Reason.PASSING


def _unpacked(head: bytes) -> bytes:
    """Return the first bytes of what is packed though nobody asked for that; else the same."""
    if not head.startswith(GZIP):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD_BYTES)
    except zlib.error:
        return head


def _is_page(head: bytes) -> bool:
    """Return whether it is a text, such as a page or an answer in JSON or XML."""
    if head.startswith(UTF_16):
        return True
    return len(head.translate(None, _CONTROLS)) == len(head)


def _fingerprint(url: URL) -> str:
    """Return a hash of an address without its query, which holds signatures that change."""
    plain = f"{url.origin()}{plain_path(url)}"
    return hashlib.sha256(plain.encode()).hexdigest()[:32]
