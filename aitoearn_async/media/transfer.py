"""One file: an attempt to get from what lies on the disk to a complete file.

A complete file is as long as was announced, and begins as an image or a video does. What is
wrong is said in `Trouble`; whether to try again is decided elsewhere.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar, TypeVarTuple

from yarl import URL

from ..contract.formats import HEAD_BYTES, media_type_of
from ..contract.results import Result
from .disk import Busy, Note, Part
from .hosts import Body, Hosts, Trouble
from .names import SUFFIXES, suffixes_of
from .offload import Threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Progress = Callable[[int, int | None], None]
"""Is told how many bytes of a file there are, and how many it is to have, if that is known."""

_BLOCK = 256 * 1024
"""Bytes that are handed to the disk at a time."""
_CHARACTERS = 4 * _BLOCK
"""Of base64, that are decoded at a time; four make three bytes."""


class Order(NamedTuple):
    """What a download is asked for."""

    directory: Path
    before: float
    """Loop time by which it is over."""
    most: int
    """Bytes past which a file is given up."""
    progress: Progress | None


class Transfer:
    """One file on its way.

    Args:
        hosts: Fetches it.
        order: What is asked for.
        kind: What it has to be: `"image"` or `"video"`.
        stem: Its name, up to the suffix.
        threads: Where files are worked on.

    Attributes:
        reached: How many bytes of it there have been at most, here or with another download.
        renewed: Whether its address has been asked for once more.
    """

    def __init__(self, hosts: Hosts, order: Order, kind: str, stem: str, threads: Threads) -> None:
        self.reached: int = 0
        self.renewed: bool = False
        self._hosts = hosts
        self._order = order
        self._kind = kind
        self._stem = stem
        self._threads = threads

    async def attempt(self, result: Result) -> Path:
        """Get it, or what is missing of it.

        Raises:
            Trouble: It is not there.
            Unfit: Its address is none to ask.
            Busy: Another download is writing it.
        """
        part = Part(self._order.directory, self._stem, suffixes_of(self._kind))
        try:
            if (complete := await self._disk(part.open)) is not None:
                return complete
            if result.data is not None:
                await self._disk(_decode, part, result.data, self._order.most)
            else:
                await self._fetch(part, result.url or "")
            return await self._disk(self._finish, part)
        except Busy:
            self.reached = max(self.reached, part.size)
            raise
        except Trouble as trouble:
            if trouble.stale:
                await self._threads.call(part.discard)
            raise
        finally:
            await self._threads.call(part.leave)

    async def _disk(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        try:
            return await self._threads.call(call, *args)
        except OSError as exc:
            trouble = Trouble(f"{exc.strerror or exc}, in {self._order.directory}")
            trouble.__cause__ = exc.with_traceback(None)
        raise trouble

    async def _fetch(self, part: Part, address: str) -> None:
        url = self._hosts.check(address)
        source, offset = _fingerprint(url), part.size
        if part.note.source != source or part.note.validator is None:
            offset = 0
        if offset and offset == part.note.length:
            return  # all of it came, and then something happened
        async with self._hosts.fetch(url, offset, part.note if offset else Note(source)) as body:
            self._check_size(max(body.note.length or 0, body.offset))
            await self._pour(body, part)
        if body.note.length is not None and part.size != body.note.length:
            raise Trouble(f"{body.host}: the file broke off", transient=True, stale=True)

    async def _pour(self, body: Body, part: Part) -> None:
        """From the wire to the disk, a block at a time."""
        broken: Trouble | None = None
        block, more, is_new = bytearray(), True, body.offset == 0
        self._report(body.offset, body)
        while more:
            try:
                more = bool(chunk := await body.read())
                block += chunk
            except Trouble as trouble:
                # What did come is worth keeping, if it is enough to tell what it is.
                broken, more = trouble, False
            if is_new and (len(block) >= HEAD_BYTES or not (more or broken)):
                self._check_kind(bytes(block[:HEAD_BYTES]), f"what {body.host} sent")
                await self._disk(part.restart, body.note)
                is_new = False
            if not is_new and (len(block) >= _BLOCK or (block and not more)):
                self._check_size(part.size + len(block))
                await self._disk(part.append, block)
                block = bytearray()
                self._report(part.size, body)
        if broken is not None:
            raise broken

    def _report(self, size: int, body: Body) -> None:
        self.reached = max(self.reached, size)
        if self._order.progress is not None:
            self._order.progress(size, body.note.length)

    def _check_size(self, size: int) -> None:
        if size > self._order.most:
            raise Trouble(f"it is larger than {self._order.most:,} bytes (max_bytes=)", stale=True)

    def _check_kind(self, head: bytes, what: str, *, stale: bool = False) -> str:
        media = media_type_of(head)
        if media is None or media not in SUFFIXES or not media.startswith(f"{self._kind}/"):
            found = media or ("nothing" if not head else "something else")
            raise Trouble(f"{what} is no {self._kind} but {found}", stale=stale)
        return SUFFIXES[media]

    def _finish(self, part: Part) -> Path:
        return part.finish(self._check_kind(part.head(HEAD_BYTES), "it", stale=True))


def _decode(part: Part, data: str, most: int) -> None:
    """Write what came along in base64."""
    text = "".join(data.split()).rstrip("=")
    if len(text) * 3 // 4 > most:
        raise Trouble(f"it is larger than {most:,} bytes (max_bytes=)", stale=True)
    part.restart(Note())
    for start in range(0, len(text), _CHARACTERS):
        piece = text[start : start + _CHARACTERS]
        try:
            if "=" in piece:
                raise ValueError
            part.append(binascii.a2b_base64(piece + "=" * (-len(piece) % 4), strict_mode=True))
        except ValueError:
            raise Trouble("what came along is no base64", stale=True) from None


def _fingerprint(url: URL) -> str:
    """Stands for an address. Without its query, where signatures are, and change."""
    plain = f"{url.origin()}{url.raw_path}"
    return hashlib.sha256(plain.encode()).hexdigest()[:32]
