"""A server that passes bytes on to another one, both ways, and knows what has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .raw_server import Line, LineServer


class Relay(LineServer):
    """Passes bytes on to a server of this machine, until one of the two sides hangs up.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._behind = port
        self.sent = bytearray()
        """All that clients have sent."""
        self.received = 0
        """The number of bytes that clients got."""

    async def passing(self) -> None:
        """Return as soon as bytes may be passed on, which here is at once."""

    async def serve(self, line: Line) -> None:
        await self.passing()
        back, on = await asyncio.open_connection("127.0.0.1", self._behind)
        ways = [
            asyncio.ensure_future(self._pass(line.reader, on, self.sent.extend)),
            asyncio.ensure_future(self._pass(back, line.writer, self._count)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            on.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def _count(self, data: bytes) -> None:
        self.received += len(data)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        note: Callable[[bytes], None],
    ) -> None:
        while data := await reader.read(65_536):
            note(data)
            await self.passing()
            writer.write(data)
            await writer.drain()
