#!/usr/bin/env bash
# dashscope returns the 429 of one poll as the result of a video, and the id of the paid task is gone.
#
# Promised: the docstring of `wait`: it waits for the task's completion, and returns the task's result;
#   `call` submits and waits. Model Studio, "Asynchronous task management API": a task is asked about by its id,
#   at most 20 times a second by all of an account, which a hundred waits of five seconds each use up.
# Seen: 503 and 504 are waited through. At 429, 500 and 502 the wait is over: the error response of the poll
#   is returned, with no exception, and with None where the task with its id was. The task runs on.
#   The same in AioVideoSynthesis and in the blocking VideoSynthesis.
# Costs: of a batch of some size, or while a gateway is restarted, videos are made, paid for and lost, since
#   only `async_call` shows the id. Whoever takes a response that is no 200 for a failed task submits once
#   more, and pays twice.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    dashscope==2.0.2 aiohttp==3.14.5
"$place/venv/bin/python" - <<'EOF'
import asyncio
import logging
import sys
from importlib.metadata import version

import dashscope
from aiohttp import web
from dashscope import VideoSynthesis
from dashscope.aigc.video_synthesis import AioVideoSynthesis

VIDEO = {"model": "wan2.2-t2v-plus", "prompt": "a cat on a roof", "api_key": "none"}
PLAIN = {"code": "Throttling.RateQuota", "message": "please try again later", "request_id": "2"}
polls = []


async def submit(_):
    return web.json_response({"output": {"task_id": "task-1", "task_status": "PENDING"}})


def polled(bad):
    """Return a handler: the second poll gets this status, and the third finds the task done."""

    async def poll(_):
        polls.append(1)
        if len(polls) == 2:
            return web.json_response(PLAIN, status=bad)
        status = "SUCCEEDED" if len(polls) > 2 else "RUNNING"
        task = {"task_id": "task-1", "task_status": status, "video_url": "http://x/1.mp4"}
        return web.json_response({"request_id": "1", "output": task})

    return poll


async def waited(status, call):
    """Return what a call comes to, and how many polls it made."""
    polls.clear()
    app = web.Application()
    app.router.add_post("/{path:.*}", submit)
    app.router.add_get("/{path:.*}", polled(status))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    dashscope.base_http_api_url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1"
    response = await call()
    await runner.cleanup()
    return int(response.status_code), response.output and response.output["task_id"], len(polls)


async def main():
    calls = {
        "AioVideoSynthesis": lambda: AioVideoSynthesis.call(**VIDEO),
        "VideoSynthesis": lambda: asyncio.to_thread(VideoSynthesis.call, **VIDEO),
    }
    return {
        (name, status): await waited(status, call)
        for name, call in calls.items()
        for status in (503, 429, 500, 502)
    }


logging.disable()  # a line for each unclosed session of dashscope
for name in ("dashscope", "aiohttp"):
    print(name, version(name))
seen = asyncio.run(main())
print("expected: 200, task-1, 3 polls")
for (name, status), (code, task, count) in seen.items():
    print(f"seen with {name}.call and one {status}: {code}, {task}, {count} polls")
right = (200, "task-1", 3)
if any(end != (right if status == 503 else (status, None, 2)) for (_, status), end in seen.items()):
    sys.exit("the behaviour has changed")
EOF
