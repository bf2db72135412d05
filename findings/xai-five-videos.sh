#!/usr/bin/env bash
# xai-sdk starts up to five videos in one call that fails, and its timeout of a minute may take 27.
#
# Promised: gRPC, of UNAVAILABLE: "Note that it is not always safe to retry non-idempotent operations." The SDK, of
#   `generate`: "timeout: Maximum time to wait for video generation to complete."
# Seen: a connection that breaks is UNAVAILABLE too, and whatever was asked is asked again, up to four times in some
#   seconds: GenerateVideo as well. Where a gateway is exchanged just after it has passed on the request, the
#   service starts a video for each attempt; the caller gets the last one, or an error without an id.
#   The timeout is looked at between polls alone: one that is not answered holds the caller for the
#   27 minutes that a request has by default (20 s of them were waited for a timeout of 5 s).
# Costs: up to five videos are paid for one, or for none, and a worker that was to wait for seconds stands still.
# Known: that UNAVAILABLE is retried is in the README; of what it does to a video, and of the timeout, nothing
#   was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    xai-sdk==1.21.0 grpcio==1.85.3
"$place/venv/bin/python" - <<'EOF'
import asyncio
import contextlib
import os
import sys
import time
from datetime import timedelta
from importlib.metadata import version

import grpc
from xai_sdk import AsyncClient
from xai_sdk.proto import deferred_pb2, video_pb2, video_pb2_grpc


class Gateway:
    """It passes on what comes, until it is exchanged."""

    def __init__(self, port):
        self.target, self.writers = port, set()

    async def start(self):
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def connected(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers |= {writer, far_writer}
        await asyncio.gather(self.passed(reader, far_writer), self.passed(far_reader, writer))

    async def passed(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def exchange(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


class Service(video_pb2_grpc.VideoServicer):
    def __init__(self):
        self.started = self.exchanges = 0
        self.seconds_to_answer = 0

    async def GenerateVideo(self, request, context):
        self.started += 1
        if self.exchanges:
            self.exchanges -= 1
            self.gateway.exchange()
        return deferred_pb2.StartDeferredResponse(request_id=f"video {self.started}")

    async def GetDeferredVideo(self, request, context):
        await asyncio.sleep(self.seconds_to_answer)
        done = video_pb2.VideoResponse(video=video_pb2.GeneratedVideo(url="https://example.com/film"))
        return video_pb2.GetDeferredVideoResponse(
            status=deferred_pb2.DeferredStatus.DONE, response=done
        )


async def generated(client, service):
    """Return what came of a call that was given 5 seconds, and how many videos were started."""
    service.started, begun = 0, time.monotonic()
    try:
        async with asyncio.timeout(20):
            await client.video.generate(
                prompt="a cat", model="grok-imagine-video", timeout=timedelta(seconds=5)
            )
        end = "a video"
    except grpc.aio.AioRpcError as error:
        end = error.code().name
    except TimeoutError:
        end = "nothing in 20 s" if time.monotonic() - begun > 19 else "a timeout"
    return end, service.started


async def main():
    server, service = grpc.aio.server(), Service()
    video_pb2_grpc.add_VideoServicer_to_server(service, server)
    service.gateway = Gateway(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    host = f"127.0.0.1:{await service.gateway.start()}"
    client = AsyncClient(api_key="none", api_host=host, use_insecure_channel=True)
    seen = {"no trouble": await generated(client, service)}
    service.exchanges = 1
    seen["a gateway that is exchanged once"] = await generated(client, service)
    service.exchanges = 9
    seen["a gateway that is exchanged again and again"] = await generated(client, service)
    service.exchanges, service.seconds_to_answer = 0, 60
    seen["a poll that is not answered"] = await generated(client, service)
    return seen


async def shown():
    seen = await main()
    for name in ("xai-sdk", "grpcio"):
        print(name, version(name))
    expected = {
        "no trouble": "a video, 1 started",
        "a gateway that is exchanged once": "UNAVAILABLE, 1 started",
        "a gateway that is exchanged again and again": "UNAVAILABLE, 1 started",
        "a poll that is not answered": "a timeout after 5 s, 1 started",
    }
    for what, (end, started) in seen.items():
        print(f"{what}: expected {expected[what]}; seen {end}, {started} started")
    surprise = {
        "no trouble": ("a video", 1),
        "a gateway that is exchanged once": ("a video", 2),
        "a gateway that is exchanged again and again": ("UNAVAILABLE", 5),
        "a poll that is not answered": ("nothing in 20 s", 1),
    }
    if seen != surprise:
        print("the behaviour has changed", file=sys.stderr)
    sys.stdout.flush()
    os._exit(seen != surprise)  # the poll is still under way


asyncio.run(shown())
EOF
