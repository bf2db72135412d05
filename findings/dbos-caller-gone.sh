#!/usr/bin/env bash
# A DBOS workflow whose caller gives up is run by nobody, is pending, and is waited for by all who come later.
#
# Promised: its documentation: a workflow that is interrupted for any reason is recovered from the last
#   completed step; a workflow id is an idempotency key, by which a second call gets the first one's
#   result. That a caller may not end his await is not said.
# Seen: an async workflow that is awaited directly ends with its caller: asyncio.timeout, wait_for or a task
#   group cancel its code in the middle of a step. Its status stays PENDING in a process that lives on. A
#   second call with the same id, and get_result of a handle, then wait for a run that there is not, without an
#   end and without a word in the log. Only when the process is started anew does it go on.
#   Started with start_workflow_async, and awaited by the handle, the same workflow ends in SUCCESS.
# Costs: one timeout, and the order with that id hangs until the next deploy: each retry hangs with it, the
#   paid task is made and nobody fetches it, and by its status it is under way.
# Known: that cancelling get_result stopped the workflow, in dbos-inc/dbos-transact-py#425, repaired;
#   of the call itself it was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check dbos==3.4.0
cat >"$place/run.py" <<'EOF'
import asyncio
import json
import os
import sys
from pathlib import Path

from dbos import DBOS, SetWorkflowID

place = Path(sys.argv[1])
DBOS(config={
    "name": "films", "system_database_url": f"sqlite:///{place}/films.sqlite", "log_level": "CRITICAL",
})


@DBOS.step()
async def submit():
    return "task 1"


begun = asyncio.Event()


@DBOS.step()
async def wait(task):
    begun.set()
    await asyncio.sleep(2)
    return f"{task} is done"


@DBOS.workflow()
async def film():
    return await wait(await submit())


async def within(seconds, awaitable):
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        return "nothing"


async def given_up(awaitable):
    """Cancel what awaits the film, once its second step has begun, as a timeout does."""
    begun.clear()
    caller = asyncio.ensure_future(awaitable)
    await begun.wait()
    caller.cancel()
    await asyncio.wait([caller])


async def status(name):
    return (await DBOS.get_workflow_status_async(name)).status


async def ended(name):
    for _ in range(60):
        await asyncio.sleep(0.5)
        if (now := await status(name)) not in ("PENDING", "ENQUEUED"):
            break
    return now


async def first_process():
    with SetWorkflowID("called"):
        await given_up(film())
    await asyncio.sleep(3)
    seen = {"3 seconds later": await status("called")}
    with SetWorkflowID("called"):
        seen["a second call, in 6 seconds"] = await within(6, film())
    handle = await DBOS.retrieve_workflow_async("called")
    seen["its handle, in 3 seconds"] = await within(3, handle.get_result())
    begun.clear()
    with SetWorkflowID("started"):
        handle = await DBOS.start_workflow_async(film)
    await begun.wait()
    await within(0.1, handle.get_result())
    seen["of one that was started"] = await ended("started")
    return seen


async def next_process():
    return {"after a restart": await ended("called")}


async def main():
    DBOS.launch()
    seen = await (first_process() if sys.argv[2] == "first" else next_process())
    print(json.dumps(seen), flush=True)
    os._exit(0)  # to shut down would wait for the call that waits


asyncio.run(main())
EOF
"$place/venv/bin/python" - "$place" <<'EOF'
import json
import subprocess
import sys
from importlib.metadata import version


def run(which):
    told = subprocess.run(
        [sys.executable, f"{sys.argv[1]}/run.py", sys.argv[1], which],
        check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    return json.loads(told.stdout.splitlines()[-1])


print("dbos", version("dbos"), "python", sys.version.split()[0])
print("expected of a film of 2 seconds whose caller gave up: SUCCESS, and 'task 1 is done'")
seen = run("first") | run("next")
for what, value in seen.items():
    print(f"seen {what}: {value}")
surprise = {
    "3 seconds later": "PENDING", "a second call, in 6 seconds": "nothing",
    "its handle, in 3 seconds": "nothing", "of one that was started": "SUCCESS",
    "after a restart": "SUCCESS",
}
if seen != surprise:
    sys.exit("the behaviour has changed")
EOF
