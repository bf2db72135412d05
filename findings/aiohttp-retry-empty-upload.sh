#!/usr/bin/env bash
# aiohttp-retry repeats an upload that failed with an empty body, and reports the empty one as a success.
#
# Promised: the client stands in for aiohttp's, and by default sends a request again after any 5xx.
#   aiohttp's "Streaming uploads" has open files and other streams as a request's data; and where aiohttp
#   itself repeats a request, for a redirect or a lost connection, it goes back to where the body began,
#   and raises where it cannot.
# Seen: each attempt is a new request of aiohttp's, with the same object. The first has read it to its
#   end, so the second sends nothing of a BytesIO or of an asynchronous generator, and a form without
#   its file's bytes; the length fits what is sent. An open file is closed by the first, and
#   "I/O operation on closed file" is raised in place of the 503. Only bytes arrive.
# Costs: a store that was busy for a moment holds a file of 0 bytes in place of the film, the answer
#   is 200, and what comes with it, a hash or an ETag, is that of nothing.
# Known: of aiohttp's own repeats, in aio-libs/aiohttp#13329, repaired; of this package not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    aiohttp-retry==2.9.1 aiohttp==3.14.5
cat >"$place/run.py" <<'EOF'
import asyncio
import io
import sys
from importlib.metadata import version
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp_retry import ExponentialRetry, RetryClient

FILM = b"film" * 250
film = Path(sys.argv[1]) / "film"
film.write_bytes(FILM)
came = []


async def store(request):
    """Take an upload; be too busy for the first."""
    if request.content_type == "multipart/form-data":
        part = await (await request.multipart()).next()
        came.append(len(await part.read()))
    else:
        came.append(len(await request.read()))
    return web.Response(status=503 if len(came) == 1 else 200)


async def redirect(request):
    await request.read()
    raise web.HTTPTemporaryRedirect("/store")


async def stream():
    yield FILM


def form():
    data = aiohttp.FormData()
    data.add_field("file", stream(), filename="film")
    return data


async def upload(host, data):
    """Return what came of one upload, and the bytes that each attempt brought."""
    came.clear()
    async with RetryClient(retry_options=ExponentialRetry(start_timeout=0.01)) as client:
        try:
            async with client.put(f"{host}/store", data=data) as answer:
                return answer.status, list(came)
        except ValueError as error:
            return str(error), list(came)


async def by_aiohttp(host):
    """Return what aiohttp makes of the same BytesIO, where it is the one that repeats."""
    came[:] = [0]
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{host}/redirect", data=io.BytesIO(FILM)) as answer:
            return answer.status, came[1:]


async def main():
    application = web.Application()
    application.router.add_put("/store", store)
    application.router.add_put("/redirect", redirect)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        with film.open("rb") as file:
            bodies = {
                "bytes": FILM, "BytesIO": io.BytesIO(FILM), "a generator": stream(),
                "a form with a generator": form(), "an open file": file,
            }
            seen = {name: await upload(host, data) for name, data in bodies.items()}
        return seen, await by_aiohttp(host)
    finally:
        await runner.cleanup()


for name in ("aiohttp-retry", "aiohttp"):
    print(name, version(name))
seen, alone = asyncio.run(main())
print("expected: 200 [1000, 1000], or an error that says why it is not sent again")
for name, (outcome, sizes) in seen.items():
    print(f"seen with {name}: {outcome} {sizes}")
print("aiohttp itself, after a redirect, with BytesIO:", *alone)
surprise = {
    "bytes": (200, [1000, 1000]), "BytesIO": (200, [1000, 0]), "a generator": (200, [1000, 0]),
    "a form with a generator": (200, [1000, 0]),
    "an open file": ("I/O operation on closed file", [1000]),
}
if seen != surprise or alone != (200, [1000]):
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
