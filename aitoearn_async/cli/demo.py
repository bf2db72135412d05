"""Something to look at without an account: the emulator with a few tasks in it.

The tasks and their lives are tables up here; how they are waited for and shown is the rest of
the command line's, which is the point of a demo.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Literal, NamedTuple

from aitoearn_async import AnyRef, Client, Waiter, wait_backoff
from aitoearn_async.emulator import Emulator, Fault

from .screens import console, on_terminal, say, screen_for
from .standing import Exit, Standing
from .view import account, counted, ends_of, summary
from .watch import Watch

Dialect = Literal["observed", "published"]


class Scene(NamedTuple):
    """A task that is to be played: the seconds in each word, then the word it ends in."""

    kind: Literal["image", "video"]
    life: tuple[tuple[str, float], ...]
    end: str
    about: str = ""
    bad_gateways: int = 0


DEMO = (
    Scene("image", (("generating", 1.2),), "success"),
    Scene("image", (("generating", 2.8),), "success", bad_gateways=3),
    Scene("image", (("generating", 2.2),), "failed"),
    Scene("video", (("NotStart", 0.9), ("InProgress", 2.4)), "SUCCESS"),
    Scene("video", (("NotStart", 1.6), ("InProgress", 2.6)), "SUCCESS"),
)
SAMPLES = (
    Scene("image", (("generating", 30.0),), "success", "succeeds in half a minute"),
    Scene("image", (("generating", 20.0),), "failed", "fails in 20 seconds"),
    Scene("video", (("NotStart", 15.0), ("InProgress", 45.0)), "SUCCESS", "takes a minute"),
    Scene("video", (), "InProgress", "never ends: try --timeout 10"),
)

_OPENING = """\
A server on this machine, {url}, speaks as AiToEarn does.
Five tasks run on it, and all are waited for at once. One of them will fail, and
while another one runs, the server breaks down for a few polls (HTTP 502)."""
_CLOSING = """\
The 502s cost one task a few polls, and nothing else. The failure was planned.
Next: put your key into AITOEARN_API_KEY and run `aitoearn-async wait image:ID`;
or, without an account, against the server of `aitoearn-async emulator`."""
_SERVING = """\
# AiToEarn, played on this machine. In another terminal:
export AITOEARN_BASE_URL={url}
export AITOEARN_API_KEY={key}
export AITOEARN_PRIVATE_MEDIA=1

# Tasks to get or wait for; their lives begin now:"""


def add(service: Emulator, scene: Scene) -> AnyRef:
    """Put a task on the server; its life begins now."""
    stages: list[str | tuple[str, float]] = [*scene.life, scene.end]
    ref = service.add_image(*stages) if scene.kind == "image" else service.add_video(*stages)
    if scene.bad_gateways:
        # The first poll is to be a good one: a server is in trouble once it has worked.
        service.fault(Fault(delay=0.05), ref)
        service.fault(Fault(status=502), ref, times=scene.bad_gateways)
    return ref


async def play() -> Exit:
    """The demo. It succeeds if everything ends as planned, the planned failure included."""
    out = console()
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        out.print(_OPENING.format(url=service.url), "", sep="\n")
        pace = wait_backoff(0.3, 1.5, 1.0)
        waiters = [client.wait_for(add(service, scene), wait=pace) for scene in DEMO]
        watch = Watch(waiters)
        with screen_for(watch.look, passing=True) as screen:
            standings = await watch.run(screen)

    if not on_terminal():
        out.print()
    met = [_on_the_way(waiter) for waiter in waiters]
    ended = summary(ends_of(standings), len(standings))
    for part in (account(standings, met), "", ended, "", _CLOSING):
        out.print(part)
    return Exit.SUCCEEDED if _as_planned(standings) else Exit.SERVICE


def _on_the_way(waiter: Waiter[Any]) -> str:
    """What its polls came to, but for the last."""
    last = [waiter.latest.status] if waiter.latest else []
    return counted(Counter(waiter.seen) - Counter(last))


def _as_planned(standings: list[Standing]) -> bool:
    return [standing.task and standing.task.status for standing in standings] == [
        scene.end for scene in DEMO
    ]


async def serve(port: int, dialect: Dialect) -> None:
    """The emulator with the sample tasks, until cancelled.

    Raises:
        OSError: The port cannot be had.
    """
    async with Emulator(port=port, dialect=dialect) as service:
        say(_SERVING.format(url=service.url, key=service.api_key))
        for scene in SAMPLES:
            say(f"#   {add(service, scene)}   {scene.about}")
        say("#\n# Ctrl-C ends it.")
        await asyncio.Event().wait()
