"""The bytes of one source, to be read from any place in them, as often as is needed.

A file on disk is read where it lies. All else that may be large (a pipe, an open file, an
asynchronous stream) can be read only once: it is copied to a temporary file without a name. So
an upload takes the same memory whatever the size. Disks are read and written on threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import select
import stat
import tempfile
import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from pathlib import Path
from typing import IO, Any, TypeVar, TypeVarTuple, cast

from .._runtime.lifetime import blaming
from .._runtime.threads import Threads
from ..contract.data_uris import bytes_of, data_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST_BYTES = 1024**3
"""The size past which a source is refused."""
MEDIA = {"image": "an image", "audio": "audio", "video": "a video"}
"""The media that can be uploaded, and what one of each is called."""

_CHUNK_BYTES = 256 * 1024
_IN_MEMORY = 1024 * 1024
"""Bytes of a copy that are held in memory before it goes to the disk."""
_PIPE_WAIT_MS = 50
"""Milliseconds for which a pipe is waited for before the next look whether it is given up."""

_DECLARED = re.compile(
    rf"data:\s*((?:{'|'.join(MEDIA)})/[\w.+-]+)\s*[;,]", re.ASCII | re.IGNORECASE
)
"""The beginning of a data URI that says its type, as a header can have it."""

_threads = Threads(32, "aitoearn-async uploads")


class Content:
    """The bytes of one source. The arguments are those of `opened`.

    Attributes:
        size: Its length in bytes.
        media_type: Its type, as a data URI declares it, or by its own first bytes.
    """

    def __init__(self, name: str, field: str, medium: str | None) -> None:
        self.name = name
        self._field = field
        self._media = list(MEDIA) if medium is None else [medium]
        self.size: int = 0
        self.media_type: str = ""
        self.given_up: threading.Event = threading.Event()
        self._calls = _threads.calls()
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._digest: bytes | None = None

    async def call(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call it in a thread, after what was called before."""
        return await self._calls.call(call, *args)

    async def aclose(self) -> None:
        """Close the file, and forget the copy."""
        self.given_up.set()
        await self._calls.end(self._close)

    def _close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()

    async def digest(self) -> bytes:
        """Return the SHA-256 of all of it.

        Raises:
            OSError: It cannot be read.
            ValueError: It has changed.
        """
        if self._digest is None:
            self._digest = await self.call(self._hashed)
        return self._digest

    def _hashed(self) -> bytes:
        reader = ContentReader(self)
        while reader.at < self.size and not self.given_up.is_set():
            reader.next()
        return reader.hash.digest()

    def read_at(self, at: int, count: int) -> bytes:
        """Read up to so many bytes from an offset on: fewer only at the end. For threads."""
        with self._lock:
            assert self._file is not None
            self._file.seek(at)
            return self._file.read(count)

    def changed(self) -> ValueError:
        """Return the error for a file that has changed since it was opened."""
        return ValueError(f"{self.name} was changed while it was read: give it when it is done")

    # What follows runs on threads.

    def load(self, source: Any) -> None:
        """Open bytes, a data URI, a path, or a binary file; copy it where needed; judge it.

        Raises:
            ValueError: It is empty, too large, or of another type.
            OSError: It cannot be read.
        """
        declared = None
        if isinstance(source, str):
            declared, source = declared_type(source), decoded(source)
        if isinstance(source, bytes):
            self._file = io.BytesIO(source)
            self._set_size(len(source))
        elif isinstance(source, Path):
            self._open(source)
        else:
            self._copy(source.read)
        self._judge(declared)

    def _open(self, path: Path) -> None:
        file = open(path, "rb", buffering=0, opener=_open)  # noqa: SIM115 - held
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode):
            self._file = file
            self._set_size(found.st_size)
            return
        with file:
            read = _patient(file, self.given_up) if hasattr(select, "poll") else file.read
            self._copy(read)

    def _copy(self, read: Callable[[int], Any]) -> None:
        size = 0
        while size <= MOST_BYTES and (chunk := self._chunk(read(_CHUNK_BYTES))):
            size += self.append(chunk)
        self._set_size(size)

    def append(self, chunk: bytes) -> int:
        """Add to the copy."""
        with self._lock:
            if self._file is None:
                self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - held
            try:
                return self._file.write(chunk)
            except OSError as exc:
                exc.filename = exc.filename or tempfile.gettempdir()
                raise

    def _chunk(self, chunk: object) -> bytes:
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise ValueError(f"{self.name} gives {type(chunk).__name__}; open it as binary")
        return bytes(cast("bytes", chunk))

    def _set_size(self, size: int) -> None:
        """Set the size, and refuse one that is 0 or more than is taken."""
        self.size = size
        if not size:
            raise ValueError(f"{self.name} is empty: there are no bytes in it")
        if size > MOST_BYTES:
            raise ValueError(f"{self.name} is larger than the {MOST_BYTES:,} bytes that are taken")

    def _judge(self, declared: str | None) -> None:
        """Set the type of the content, and refuse one that is not wanted."""
        from .._containers.examine import examine  # late: most clients send no file

        assert self._file is not None
        found = declared or examine(self._file, self.size).media_type
        if found is None or found.partition("/")[0] not in self._media:
            wanted = " or ".join(MEDIA[each] for each in self._media)
            said = "nothing known" if found is None else found
            raise ValueError(f"{self._field}={self.name}: not {wanted}; its content is {said}")
        self.media_type = found

    def data_uri(self) -> str:
        """Return all of it as text."""
        content = self.read_at(0, self.size + 1)
        if len(content) != self.size:
            raise self.changed()
        return f"data:{self.media_type};base64,{b64encode(content).decode()}"

    async def collect(self, chunks: AsyncIterable[bytes]) -> None:
        """Copy a stream, and judge it.

        Raises:
            ValueError: As in `load`.
            OSError: It cannot be copied.
        """
        size, block = 0, bytearray()
        try:
            with blaming(f"the source of {self.name}"):
                async for chunk in chunks:
                    block += self._chunk(chunk)
                    if len(block) >= _CHUNK_BYTES:
                        size += await self.call(self.append, bytes(block))
                        block.clear()
                        if size > MOST_BYTES:
                            break
        finally:
            if isinstance(chunks, AsyncGenerator):
                await cast("AsyncGenerator[bytes]", chunks).aclose()
        await self.call(self._end_copy, size, bytes(block))

    def _end_copy(self, size: int, last: bytes) -> None:
        self._set_size(size + self.append(last))
        self._judge(None)


class ContentReader:
    """One go through a content, from its first byte to its last. For threads.

    Attributes:
        at: How many bytes have been read.
        hash: That of those.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self.at: int = 0
        self.hash = hashlib.sha256()

    def next(self) -> bytes:
        """Read the next bytes.

        Raises:
            OSError: They cannot be read.
            ValueError: The file is shorter than it was.
        """
        chunk = self._content.read_at(self.at, min(_CHUNK_BYTES, self._content.size - self.at))
        if not chunk:
            raise self._content.changed()
        self.hash.update(chunk)
        self.at += len(chunk)
        return chunk


@contextlib.asynccontextmanager
async def opened(
    source: Any, name: str, *, field: str, medium: str | None
) -> AsyncGenerator[Content]:
    """Open a source, and look at its size and its type.

    Args:
        source: Bytes, a data URI, a path, a binary file, or an asynchronous stream of bytes.
        name: Names it in errors.
        field: The argument that it is for.
        medium: `"image"`, `"audio"` or `"video"`; None: any of them.

    Raises:
        ValueError: It is empty, too large, or of another type.
        OSError: It cannot be read.
    """
    content = Content(name, field, medium)
    try:
        if isinstance(source, AsyncIterable):
            stream = cast("AsyncIterable[bytes]", source)
            # The iterators of asyncio's reader and of aiohttp's fail where a line is long.
            is_reader = hasattr(stream, "readexactly")
            await content.collect(_pieces(stream) if is_reader else stream)
        else:
            await content.call(content.load, source)
        yield content
    finally:
        await content.aclose()


async def _pieces(reader: Any) -> AsyncGenerator[bytes]:
    while piece := await reader.read(_CHUNK_BYTES):
        yield piece


def declared_type(data_uri: str) -> str | None:
    """Return the media type that a data URI says; None if it says none of those uploaded."""
    said = _DECLARED.match(data_uri)
    return said[1].lower() if said else None


def decoded(data_uri: str) -> bytes:
    """Return the content of a data URI (RFC 2397).

    Raises:
        ValueError: It is not the base64 that it says it is.
    """
    data, is_base64 = data_of(data_uri)
    try:
        return b"".join(bytes_of(data, is_base64=is_base64))
    except ValueError as exc:
        head = data_uri.partition(",")[0][:40]
        raise ValueError(f"{head!r},... is a data: URI whose base64 is wrong ({exc})") from None


def _open(path: str, flags: int) -> int:
    # Nobody need have opened the other end of a pipe yet.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _patient(file: io.FileIO, given_up: threading.Event) -> Callable[[int], bytes]:
    """Return a function that reads from a pipe or a terminal until the content is given up.

    A thread that waited for bytes in the system would hold up the end of the program.
    """
    ready = select.poll()
    ready.register(file, select.POLLIN)

    def read(most: int) -> bytes:
        while not given_up.is_set():
            if ready.poll(_PIPE_WAIT_MS) and (chunk := file.read(most)) is not None:
                return chunk
        raise InterruptedError

    return read
