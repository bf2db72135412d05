#!/usr/bin/env bash
# curl_cffi submits one POST up to five times, pycurl twice, and both report the last answer as the only one.
#
# Promised: RFC 9110, 9.2.2: a client should not repeat a request whose method is not idempotent on its own, "unless it
#   has some means to know" that it is or that the first was never applied. curl_cffi: `retry` is 0 unless given.
# Seen: libcurl takes a kept connection that closes without an answer for one that was closed before, though the whole
#   request went out on it and the server had it for a while. It sends the same POST on another one, up to five times,
#   and there is no option against it but to keep no connection. The call returns 200, and nothing tells of the other
#   orders; only after the sixth does it raise. aiohttp and httpx raise after the first.
# Costs: a service whose workers take an order and are then killed, as with each deploy or out of memory, makes and
#   bills up to six films for one call, of which the caller has one id, or none.
# Known: curl/curl#18417 would add an option against it, and is open.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    pycurl==7.49.0 curl_cffi==0.17.0 aiohttp==3.14.5 httpx==0.28.1
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
from contextlib import suppress
from importlib.metadata import version

import aiohttp
import curl_cffi
import httpx
import pycurl

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Service:
    """A service whose worker is gone, some time after an order came on a connection that was used before."""

    def __init__(self):
        self.orders = 0

    async def serve(self, reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            used = False
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b":0")
                await reader.readexactly(int(length.split(b":")[1]))
                if head.startswith(b"post"):
                    self.orders += 1
                    if used:
                        await asyncio.sleep(0.3)
                        break
                else:
                    await asyncio.sleep(0.3)  # so that calls at once need connections of their own
                used = True
                writer.write(ANSWER)
        writer.close()


async def with_aiohttp(calls):
    async with aiohttp.ClientSession() as session:
        async def get():
            async with session.get(url) as answer:
                await answer.read()

        await asyncio.gather(*(get() for _ in range(calls)))
        async with session.post(url, json={}) as answer:
            return answer.status


async def with_httpx(calls):
    async with httpx.AsyncClient(trust_env=False) as client:
        await asyncio.gather(*(client.get(url) for _ in range(calls)))
        return (await client.post(url, json={})).status_code


async def with_curl_cffi(calls):
    async with curl_cffi.AsyncSession(trust_env=False) as session:
        await asyncio.gather(*(session.get(url) for _ in range(calls)))
        return (await session.post(url, json={})).status_code


def curl(calls):
    easy = pycurl.Curl()
    easy.setopt(pycurl.URL, url)
    easy.setopt(pycurl.PROXY, "")
    easy.setopt(pycurl.WRITEFUNCTION, lambda data: None)
    for _ in range(calls):
        easy.perform()
    easy.setopt(pycurl.POSTFIELDS, "{}")
    easy.perform()
    return easy.getinfo(pycurl.RESPONSE_CODE)


async def with_pycurl(calls):
    return await asyncio.to_thread(curl, calls)


async def main():
    global url
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d/videos" % server.sockets[0].getsockname()[1]
    seen = {}
    for call in (with_aiohttp, with_httpx, with_curl_cffi, with_pycurl):
        for calls in (1, 4, 8):
            service.orders = 0
            try:
                outcome = await call(calls)
            except Exception as error:
                outcome = type(error).__name__
            seen.setdefault(call.__name__.removeprefix("with_"), []).append((service.orders, outcome))
    server.close()
    return seen


for name in ("pycurl", "curl_cffi", "aiohttp", "httpx"):
    print(name, version(name))
print(pycurl.version)
print("expected: one order, and an error")
seen = asyncio.run(main())
for name, outcomes in seen.items():
    print(f"seen with {name}, after 1, 4 and 8 calls at once:", *outcomes)
surprise = {
    "aiohttp": [(1, "ServerDisconnectedError")] * 3,
    "httpx": [(1, "RemoteProtocolError")] * 3,
    "curl_cffi": [(2, 200), (5, 200), (6, "ConnectionError")],
    "pycurl": [(2, 200)] * 3,
}
if seen != surprise:
    sys.exit("the behaviour has changed")
EOF
