"""A server that says exactly the bytes it is told to, and writes down what it hears.

A script says what happens to a request: bytes to send, seconds to pause, floods, an end.

    say(b"HTTP/1.1 200 OK\\r\\n", 0.5, RST)     half a head, a pause, a reset
    say(http(b"{}"))                           a whole answer; the connection stays open
    good("success")                            the service's answer to whatever is asked

    async with RawServer(good("generating"), say(FIN)) as server:   # the last one repeats
        async with server.client() as client: ...
    assert server.count == 2

It runs on the test's own loop, so all pauses are virtual time.
"""

from __future__ import annotations

import asyncio
import enum
import json
import ssl
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aitoearn_async import Client, ImageRef
from aitoearn_async.emulator.wire import reset
from tests.support.ports import free_port

KEY = "sk-0123456789-marker-abcdef"
"""The key of every client made here; searched for where it must not be."""
ID = "66f0c0ffee0123456789abcd"
"""The id of a task, for tests that need only one."""
REF = ImageRef(ID)


class End(enum.Enum):
    """An end of a script, other than keeping the connection for the next request."""

    FIN = "fin"
    RST = "rst"
    STALL = "stall"


FIN, RST, STALL = End.FIN, End.RST, End.STALL


@dataclass(frozen=True)
class Flood:
    """The same bytes over and over, as fast as they are taken; for ever if not so many times."""

    data: bytes
    times: int = 2**62


Part = bytes | float | End | Flood


@dataclass(frozen=True)
class Heard:
    """One request, as it came in."""

    raw: bytes
    connection: int
    """The number of the connection it came on, from 0."""
    number: int
    """Its number among the requests of the server, from 0."""
    at: float
    """Loop time."""
    method: str = ""
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """Return a header's value; None if it was not sent. Twice the same is a mistake."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} sent {len(values)} times"
        return values[0] if values else None


Script = Callable[[Heard], Iterable[Part]]
"""From a request to what happens then."""
Chooser = Callable[[Heard], Script]
"""From a request to its script, for servers that do not just go through a list."""


def say(*parts: Part) -> Script:
    """Return a script that is the same for every request."""
    return lambda _: parts


def drip(data: bytes, pause: float, size: int = 1) -> list[Part]:
    """Return data in small pieces with pauses between, as parts for `say`."""
    parts: list[Part] = []
    for start in range(0, len(data), size):
        parts += [data[start : start + size], pause]
    return parts


def http(
    body: bytes = b"",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    length: int | None = None,
) -> bytes:
    """Return one whole HTTP answer. `length` lies about the body's."""
    lines = {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body) if length is None else length),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + body


def task(
    status: str = "success", *, id: str = ID, kind: str = "image", **fields: object
) -> dict[str, Any]:
    """Return a task's data, as small as the service's can be."""
    return {"logId" if kind == "image" else "id": id, "status": status, **fields}


def envelope(
    data: object = None, code: int = 0, message: str = "ok", request_id: str | None = None
) -> bytes:
    """Return the service's JSON around data, or around a refusal."""
    whole: dict[str, object] = {"data": data or {}, "code": code, "message": message}
    if request_id is not None:
        whole["requestId"] = request_id
    return json.dumps(whole, ensure_ascii=False).encode()


def good(status: str = "success", *, delay: float = 0.0, id: str | None = None) -> Script:
    """Return a script that answers as the service does, whatever is asked: kind, ids echoed."""

    def script(heard: Heard) -> Iterable[Part]:
        kind = "video" if "/video/" in heard.path else "image"
        asked = heard.path.partition("?")[0].rpartition("/")[2] if id is None else id
        data = task(status, id=asked, kind=kind)
        return delay, http(envelope(data, request_id=heard.header("X-Request-Id")))

    return script


def refuse(code: int, message: str = "no", *, request_id: str | None = None) -> Script:
    """Return a script that refuses, with the request id echoed unless another one is given."""

    def script(heard: Heard) -> Iterable[Part]:
        echo = request_id if request_id is not None else heard.header("X-Request-Id")
        return (http(envelope(code=code, message=message, request_id=echo)),)

    return script


@dataclass(eq=False)
class Line:
    """One connection, from the server's end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    raw: bytearray = field(default_factory=bytearray)
    """All that came in on it."""

    @property
    def open(self) -> bool:
        """True while both sides hold it."""
        return not self.reader.at_eof() and not self.writer.transport.is_closing()

    async def request(self) -> bytes | None:
        """Read the next head; return None when the client has hung up."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as exc:
            self.raw += exc.partial
            return None
        except (ConnectionError, asyncio.LimitOverrunError):
            return None
        self.raw += head
        return head

    async def perform(self, parts: Iterable[Part]) -> bool:
        """Act the parts out. Return whether the connection is left to the next request."""
        for part in parts:
            if part is STALL:
                return await self.request() is not None  # nobody asks twice: it hangs up
            if isinstance(part, End):
                self.hang_up(part)
                return False
            if isinstance(part, Flood):
                if not await self._flood(part):
                    return False
            elif isinstance(part, bytes):
                self.writer.write(part)
            elif part:
                await asyncio.sleep(part)
        return True

    async def _flood(self, flood: Flood) -> bool:
        """Send it. Return whether all of it was taken."""
        try:
            for _ in range(flood.times):
                self.writer.write(flood.data)
                await self.writer.drain()
        except ConnectionError:
            return False
        return True

    def hang_up(self, how: End = RST) -> None:
        """Close from this side: orderly, or with a reset."""
        transport = self.writer.transport
        if how is FIN or transport.is_closing():
            transport.close()
        else:
            reset(transport)


class LineServer:
    """Listens on 127.0.0.1 while its block lasts, and hands each connection to `serve`.

    Args:
        tls: Makes it an https server.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.lines: list[Line] = []

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """The number of connections that neither side has closed yet."""
        return sum(line.open for line in self.lines)

    def client(self, **options: Any) -> Client:
        """Return a client of this server, with `KEY`."""
        return Client(**{"api_key": KEY, "base_url": self.url, **options})

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=self._tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for serving in self._tasks:
            serving.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self.lines:
            line.writer.transport.abort()
        await self._server.wait_closed()
        # Whoever collects a stream that was reset may find its error before asyncio hides it.
        closed = (line.writer.wait_closed() for line in self.lines)
        await asyncio.gather(*closed, return_exceptions=True)
        await asyncio.sleep(0.01)  # the transports' last callbacks

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer, len(self.lines))
        self.lines.append(line)
        serving = asyncio.ensure_future(self._serve(line))
        self._tasks.add(serving)
        serving.add_done_callback(self._tasks.discard)

    async def _serve(self, line: Line) -> None:
        try:
            await self.serve(line)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            line.writer.transport.close()

    @abstractmethod
    async def serve(self, line: Line) -> None:
        """Serve one connection; it is closed after that."""


class RawServer(LineServer):
    """A server whose answers are scripts.

    Args:
        scripts: For the first request, the second, ...; the last is for all further ones.
        choose: Instead of the list: picks each request's script.
        greet: The parts to act out on each new connection, before any request.
        tls: Makes it an https server.
    """

    def __init__(
        self,
        *scripts: Script,
        choose: Chooser | None = None,
        greet: Iterable[Part] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self._scripts = scripts or (good(),)
        self._choose = choose or self._next
        self._greet = tuple(greet)
        self.heard: list[Heard] = []

    @property
    def count(self) -> int:
        """The number of requests so far."""
        return len(self.heard)

    @property
    def raw(self) -> bytes:
        """All that ever came in."""
        return b"".join(bytes(line.raw) for line in self.lines)

    def hang_up(self, how: End = FIN) -> None:
        """Close every connection from this side."""
        for line in self.lines:
            line.hang_up(how)

    async def serve(self, line: Line) -> None:
        await line.perform(self._greet)
        while (raw := await line.request()) is not None:
            heard = self._write_down(raw, line.number)
            if not await line.perform(self._choose(heard)(heard)):
                break
        # What a client holds is its own business; it is done when its end is closed.
        while not line.writer.transport.is_closing() and await line.request() is not None:
            pass
        line.writer.transport.abort()

    def _write_down(self, raw: bytes, connection: int) -> Heard:
        first, *rest = raw.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ")
        pairs = tuple((name, value) for name, _, value in (line.partition(": ") for line in rest))
        now = asyncio.get_running_loop().time()
        heard = Heard(raw, connection, self.count, now, method, path, pairs)
        self.heard.append(heard)
        return heard

    def _next(self, heard: Heard) -> Script:
        return self._scripts[min(heard.number, len(self._scripts) - 1)]


def unused_url() -> str:
    """Return an address at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def together(*calls: Awaitable[Any]) -> asyncio.Future[list[Any]]:
    """Run calls at the same time; an error is a result like any other."""
    return asyncio.gather(*calls, return_exceptions=True)
