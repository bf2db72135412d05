"""A server that hands each connection to a method, and takes all of them down with it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from types import TracebackType
from typing import Any, Self

from aitoearn_async import Client
from tests.support.raw_server import KEY, Line


class LineServer:
    """Listens on 127.0.0.1 while its block lasts."""

    def __init__(self) -> None:
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> Client:
        return Client(**{"api_key": KEY, "base_url": self.url, **options})

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._closing(Line(reader, writer, self.connections)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _closing(self, line: Line) -> None:
        self.connections += 1
        try:
            await self.serve(line)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            line.writer.transport.close()

    @abstractmethod
    async def serve(self, line: Line) -> None:
        """Serve one connection; it is closed after that."""
