"""Messages to Postgres and the rows that come back, below psycopg's cursors.

A cursor takes twice the processor time for what a worker does all the time: few values, few rows,
and one wait for the socket. The connection, its address and its errors are psycopg's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cache
from struct import Struct
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg.errors import error_from_result
from psycopg.generators import execute
from psycopg.pq import Escaping, ExecStatus, Format, abc

Row = tuple[str, ...]
"""Columns of a row as the server writes them; what is NULL is empty."""
Value = int | float | str | bytes | Sequence[str] | Sequence[bytes]
TRUE = "t"
"""A `boolean` as the server writes it."""

_PLACE = re.compile(rb"%\((\w+)\)[sb]")
_TEXT, _BYTEA = 25, 17
"""The numbers of two types."""
_ARRAY = Struct("!iiiii")
_ITEM = Struct("!i")


class Wire:
    """The socket of a connection, for one message at a time.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._server = connection.pgconn
        self._socket = self._server.socket
        self._loop = asyncio.get_running_loop()
        self._moment: asyncio.Future[None] | None = None

    @property
    def server_version(self) -> int:
        """Return the server's version, as libpq writes it: 180002 for 18.2."""
        return self._server.server_version

    def close(self) -> None:
        """Listen no more. To be called before the connection closes its socket."""
        self._loop.remove_reader(self._socket)

    async def together(self, text: bytes, values: Mapping[str, Value]) -> list[list[Row]]:
        """Run several statements, whose values are written into their text."""
        literals = {name.encode(): _literal(value) for name, value in values.items()}
        self._server.send_query(text % literals if literals else text)
        return [_rows(result) for result in await self._results()]

    async def run(self, text: bytes, values: Mapping[str, Value]) -> list[Row]:
        """Run one statement. Its values are sent beside it, as they are."""
        numbered, names = _numbered(text)
        sent = [_sent(values[name]) for name in names]
        formats = [form for _, form in sent]
        self._server.send_query_params(numbered, [value for value, _ in sent], None, formats)
        (result,) = await self._results()
        return _rows(result)

    async def _results(self) -> list[abc.PGresult]:
        results: list[abc.PGresult]
        if self._server.flush():  # more than the system takes at once
            results = await self._connection.wait(execute(self._server))
        else:
            results = await self._next_results()
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(result)
        return results

    async def _next_results(self) -> list[abc.PGresult]:
        # It stays: to add it again costs nothing, and to take it away each time two system calls.
        self._loop.add_reader(self._socket, self._read)
        results: list[abc.PGresult] = []
        while True:
            while self._server.is_busy():
                self._moment = self._loop.create_future()
                await self._moment
            if (result := self._server.get_result()) is None:
                return results
            results.append(result)

    def _read(self) -> None:
        """Read what came. In here, not where it is awaited: the loop would call a second time."""
        if self._moment is None or self._moment.done():
            self._loop.remove_reader(self._socket)  # whoever asks next sees it
            return
        try:
            self._server.consume_input()
        except Error as error:
            self.close()  # libpq has closed it, and the next socket may have its number
            self._moment.set_exception(error)
            return
        if not self._server.is_busy():
            self._moment.set_result(None)


@cache
def _numbered(text: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with numbers where the names of its values were, and these names."""
    names = list(dict.fromkeys(match[1] for match in _PLACE.finditer(text)))
    numbered = _PLACE.sub(lambda match: b"$%d" % (names.index(match[1]) + 1), text)
    return numbered, tuple(name.decode() for name in names)


def _sent(value: Value) -> tuple[bytes, Format]:
    if isinstance(value, int | float | str):
        return str(value).encode(), Format.TEXT
    if isinstance(value, bytes):
        return value, Format.BINARY
    if not value:
        return b"{}", Format.TEXT
    kind = _TEXT if isinstance(value[0], str) else _BYTEA
    parts = [_ARRAY.pack(1, 0, kind, len(value), 1)]
    for item in value:
        data = item.encode() if isinstance(item, str) else item
        parts += (_ITEM.pack(len(data)), data)
    return b"".join(parts), Format.BINARY


def _literal(value: Value) -> bytes:
    if isinstance(value, bytes):
        return b"decode('%s', 'hex')" % value.hex().encode()
    assert isinstance(value, int | float)
    return str(value).encode()


def _rows(result: abc.PGresult) -> list[Row]:
    columns = range(result.nfields)
    get = result.get_value
    return [
        tuple([(get(row, column) or b"").decode() for column in columns])
        for row in range(result.ntuples)
    ]


def binary(written: str) -> bytes:
    """Return the bytes of a `bytea` as the server wrote it."""
    return bytes(Escaping().unescape_bytea(written.encode()))
