#!/usr/bin/env bash
# parfive writes one file out of two, or one inside of itself, and reports it as downloaded.
#
# Promised: RFC 9110: a server may ignore Range and send 200 with the whole file (14.2); parts are put
#   together only if they have the same strong validator (13.1.5, 15.3.7.3). parfive's documentation:
#   what went wrong is in `Results.errors`.
# Seen: the size and "Accept-Ranges: bytes" are taken from HEAD, then five requests for five parts go
#   out at once. Of the answers only the status is looked at, and any 2xx will do. A 200 is written from
#   the offset that was asked for on: five whole files over each other, 180,000 bytes in place of 100,000.
#   If the file is replaced meanwhile, the first parts are of the old one and the others of the new one,
#   though each answer has its ETag. Neither the length nor the ETag is compared, and no error is reported.
# Costs: data that no one has measured, in archives of science, which is what it is made for. It is
#   noticed only with a checksum, and only if the server or the caller has one.
# Known: not found for parfive; the first half in another program, GopeedLab/gopeed#1458, is repaired.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    parfive==2.3.1 aiohttp==3.14.5
"$place/venv/bin/python" - "$place" <<'EOF'
import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

import parfive
from aiohttp import web

old, new = b"o" * 100_000, b"n" * 120_000
parts = []


def part(body, etag, request):
    """Return what of a file is asked for, as RFC 9110 has it."""
    asked = request.http_range
    some = body[asked.start : asked.stop]
    first = asked.start or 0
    told = {"ETag": etag, "Content-Range": f"bytes {first}-{first + len(some) - 1}/{len(body)}"}
    return web.Response(status=206, body=some, headers=told)


def whole(body, etag):
    return web.Response(body=body, headers={"ETag": etag, "Accept-Ranges": "bytes"})


async def steady(request):
    return whole(old, '"old"') if request.method == "HEAD" else part(old, '"old"', request)


async def without_ranges(request):
    """Answer as a gateway that drops Range, before a store that has them."""
    return whole(old, '"old"')


async def replaced(request):
    """Answer as a store whose file is replaced after two parts were read."""
    if request.method == "HEAD":
        return whole(old, '"old"')
    parts.append(request)
    return part(old, '"old"', request) if len(parts) <= 2 else part(new, '"new"', request)


async def downloaded(url, folder):
    """Return how many bytes of which file were saved, and how many errors were reported."""
    downloader = parfive.Downloader(progress=False)
    downloader.enqueue_file(url, path=folder)
    results = await downloader.run_download()
    saved = b"".join(Path(path).read_bytes() for path in results)
    return saved.count(b"o"), saved.count(b"n"), len(results.errors)


async def main():
    app = web.Application()
    for handler in (steady, without_ranges, replaced):
        app.router.add_get(f"/{handler.__name__}.bin", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    names = ("steady", "without_ranges", "replaced")
    seen = {name: await downloaded(f"http://{host}:{port}/{name}.bin", sys.argv[1]) for name in names}
    await runner.cleanup()
    return seen


for name in ("parfive", "aiohttp"):
    print(name, version(name))
seen = asyncio.run(main())
print("expected: 100000 bytes of the old file, or 120000 of the new one, or an error")
for name, (olds, news, errors) in seen.items():
    print(f"seen, {name}: {olds} bytes of the old file, {news} of the new one, {errors} errors")
mixed_old, mixed_new, silent = seen["replaced"]
if (
    seen["steady"] != (100_000, 0, 0)
    or seen["without_ranges"] != (180_000, 0, 0)
    or not (0 < mixed_old and 0 < mixed_new and silent == 0)
):
    sys.exit("the behaviour has changed")
EOF
