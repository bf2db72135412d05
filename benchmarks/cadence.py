"""Requests and delay of the default cadence, over those of the plain backoff, a world a row."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

from aitoearn_async import AnyRef, Client, WaitStrategy, parse_ref, wait_backoff
from aitoearn_async.emulator import Emulator, VirtualTimeLoop

from .report import Report

_BACKOFF: dict[str, WaitStrategy] = {
    "image": wait_backoff(1, 1.5, 10),
    "video": wait_backoff(5, 1.5, 30),
}
_SWEEP = 30.0
_OTHER_KEY = "the key of another account"

METHOD = """
Each row is a world of the emulator, in virtual time. Tasks are submitted one after another and
waited for in one `client.as_completed`: with its defaults, and then, by the same random numbers,
with `wait=` the plain backoff (1 s times 1.5 up to 10 s for images, 5 s times 1.5 up to 30 s for
videos, a fifth of each left to chance). Requests are all that the service got; where it has no
logs, the polls of the tasks that are counted. Delay is, on average, from the moment at which the
service could tell the end to the moment at which the outcome was taken. Images take 9, 20 or 45 s
at the median by their model, videos 90 or 160 s, log-normally spread; images of any duration take 1
to 200 s, evenly. Videos are stored at :00 and :30 of the service's clock unless a row says
otherwise. Only the four rows with a third or all own tasks, and the last two, have `/api/ai/logs`.
"After a quarter" and "known models" leave out the first quarter of the tasks. In the rows of the
slow service each answer takes 7 ms of its one process, and its sweep waits for them. In the last
row videos take a twentieth of the above, and the delay is when all ends were known, from the first
submit. One run a row, but twelve of the first fifty and sixty of one alone; other random numbers
change a ratio by some hundredths.
"""

_SECONDS: dict[str, dict[str, tuple[float, float]]] = {
    "image": {"quick": (9.0, 0.25), "middling": (20.0, 0.35), "slow": (45.0, 0.25)},
    "video": {"quick": (90.0, 0.3), "slow": (160.0, 0.4)},
}


class World(NamedTuple):
    """A world to wait in, and what is expected of the cadence there."""

    name: str
    kind: str
    requests: float
    """At most so much of the backoff's requests."""
    delay: float
    """At most so much of its delay."""
    tasks: int = 600
    per_second: float = 3.0
    logs: bool = False
    sweep: float | None = _SWEEP
    others: bool = False
    """True if a third of the tasks are another key's."""
    slower_by: float = 1.0
    """The factor by which the tasks of the second half take longer."""
    after: float = 0.0
    """The share of the tasks that is only learned from."""
    runs: int = 1
    answer_seconds: float = 0.0
    times: float = 1.0
    """The factor by which all tasks take longer than is usual."""
    has_rhythm: bool = True


WORLDS = (
    World("own tasks in bulk, videos", "video", 0.12, 0.4, 1000, 20.0, logs=True),
    World("own tasks in bulk, images", "image", 0.2, 0.75, 1000, 20.0, logs=True),
    World("no logs, videos, after a quarter", "video", 0.5, 0.4, 1000, 2.0, after=0.25),
    World("no logs, images, known models", "image", 0.7, 0.75, 800, 4.0, after=0.25),
    World("a third another key's, videos", "video", 0.4, 0.6, 900, 6.0, logs=True, others=True),
    World("a third another key's, images", "image", 0.5, 0.9, 900, 6.0, logs=True, others=True),
    World("no rhythm, videos", "video", 1.1, 1.15, sweep=None),
    World("no rhythm, images of any duration", "image", 1.1, 1.15, has_rhythm=False),
    World("sweeps every 25 s", "video", 1.1, 1.15, sweep=25.0),
    World("sweeps that drift by 1 %", "video", 1.1, 1.15, sweep=30.3),
    World("durations x 3 half-way, images", "image", 1.1, 1.15, slower_by=3.0),
    World("durations x 3 half-way, videos", "video", 1.1, 1.15, slower_by=3.0),
    World("the first fifty images", "image", 1.1, 1.15, 50, 1.0, runs=12),
    World("the first fifty videos", "video", 1.1, 1.15, 50, 1.0, runs=12),
    World("one image alone", "image", 1.1, 1.15, 1, 1.0, runs=60),
    World("one video alone", "video", 1.1, 1.15, 1, 1.0, runs=60),
)
SLOW = World("a slow service, 2,000 videos", "video", 0.01, 0.4, 2000, 400.0, logs=True,
             answer_seconds=0.007)  # fmt: skip
HURRIED = SLOW._replace(name="the same, lives of a twentieth", delay=0.7, times=0.05)


class Cost(NamedTuple):
    """The costs of a cadence."""

    requests: float
    delay: float
    wall: float
    """Seconds until all ends were known."""


class _Ends:
    """The tasks of a world, submitted one by one, and when the service can tell their ends."""

    def __init__(self, world: World, service: Emulator, chance: random.Random) -> None:
        self.of: dict[AnyRef, float] = {}
        self._world = world
        self._service = service
        self._chance = chance
        self._began = asyncio.get_running_loop().time()

    async def submitted(self) -> AsyncIterator[AnyRef]:
        loop = asyncio.get_running_loop()
        for number in range(self._world.tasks):
            due = self._began + number / self._world.per_second
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            yield self._submit(number, loop.time())

    def _submit(self, number: int, now: float) -> AnyRef:
        world, chance = self._world, self._chance
        model = chance.choice(list(_SECONDS[world.kind]))
        median, spread = _SECONDS[world.kind][model]
        seconds = median * math.exp(chance.gauss(0.0, spread))
        if not world.has_rhythm:
            seconds = chance.uniform(1.0, 200.0)
        if number >= world.tasks / 2:
            seconds *= world.slower_by
        seconds *= world.times
        key = _OTHER_KEY if world.others and number % 3 == 0 else None
        ref: AnyRef
        if world.kind == "image":
            asked = {"model": model, "prompt": "a cat"}
            life = ("generating", seconds), "success"
            ref = self._service.add_image(*life, request=asked, api_key=key)
        else:
            life = ("InProgress", seconds), "SUCCESS"
            ref = self._service.add_video(*life, model=model, api_key=key)
        shown = now + seconds
        if world.kind == "video" and world.sweep is not None:
            # The service's clock began on a multiple of every sweep, when the world did.
            past = shown - self._began
            shown = self._began + math.ceil(past / world.sweep) * world.sweep
        self.of[ref] = shown
        return ref


async def _run(world: World, wait: WaitStrategy | None, seed: int) -> Cost:
    loop = asyncio.get_running_loop()
    random.seed(seed)  # the client's jitter
    async with Emulator(
        sweep=world.sweep if world.kind == "video" else None,
        seconds_per_answer=world.answer_seconds,
        date=datetime(2026, 1, 1, tzinfo=UTC),
    ) as service:
        if not world.logs:
            service.routes = service.routes - {"logs"}
        async with Client(service.api_key, base_url=service.url) as client:
            ends = _Ends(world, service, random.Random(seed))
            polls: dict[AnyRef, int] = {}
            delays: dict[AnyRef, float] = {}
            began = loop.time()
            async with client.as_completed(ends.submitted(), wait=wait) as batch:
                async for outcome in batch:
                    outcome.unwrap()
                    ref = parse_ref(str(outcome.ref))
                    polls[ref], delays[ref] = outcome.polls, loop.time() - ends.of[ref]
            counted = list(ends.of)[int(world.tasks * world.after) :]
            requests = sum(polls[ref] for ref in counted)
            if world.logs:
                requests = len(service.requests)
            delay = sum(delays[ref] for ref in counted)
            return Cost(requests / len(counted), delay / len(counted), loop.time() - began)


def _cost(world: World, wait: WaitStrategy | None) -> Cost:
    costs: list[Cost] = []
    for seed in range(world.runs):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            costs.append(runner.run(_run(world, wait, seed)))
    return Cost(*(sum(part) / world.runs for part in zip(*costs, strict=True)))


def run(smoke: bool) -> Report:
    columns = ["world", "requests a task: backoff", "default", "ratio"]
    report = Report.of(METHOD, *columns, "delay, s: backoff", "default", "ratio")
    for world in (*WORLDS, SLOW, HURRIED):
        if smoke:
            world = world._replace(tasks=min(world.tasks, 12), runs=1)
        before, after = _cost(world, _BACKOFF[world.kind]), _cost(world, None)
        walls = (before.wall, after.wall) if world.times < 1.0 else None
        late = walls or (before.delay, after.delay)
        requests, delay = after.requests / before.requests, late[1] / max(late[0], 1e-9)
        shown = [f"{figure:.2f}" for figure in (before.requests, after.requests, requests)]
        shown += [f"{figure:.1f}" for figure in late] + [f"{delay:.2f}"]
        report.row(world.name, *shown)
        plain = "_".join("".join(c if c.isalnum() else " " for c in world.name).split()).lower()
        report.figures |= {f"{plain}_requests": requests, f"{plain}_delay": delay}
        report.expect(f"{world.name}: requests", requests, world.requests)
        report.expect(f"{world.name}: delay", delay, world.delay)
    return report
