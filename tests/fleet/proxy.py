"""A proxy between members and their engine, whose cable can be pulled."""

from __future__ import annotations

import asyncio

from tests.support.relay import Relay


class Proxy(Relay):
    """Passes bytes on, both ways. Cut, it passes none: nobody is told, as in a real network.

    Args:
        port: The server's, on this machine.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._passing = asyncio.Event()
        self._passing.set()

    def cut(self) -> None:
        """Pass nothing on. Connections stay, and new ones can be made, to nobody."""
        self._passing.clear()

    def mend(self) -> None:
        """Pass on again. Bytes that came meanwhile are passed on late."""
        self._passing.set()

    async def passing(self) -> None:
        await self._passing.wait()
