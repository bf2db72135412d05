"""Something to look at without an account: the emulator, and the whole story told with it.

The tasks and their lives are tables up here; how they are waited for, saved and shown is the
rest of the command line's, which is the point of a demo.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import typer

from aitoearn_async import AnyRef, Client, GenerateImage, GenerateVideo, Waiter, wait_backoff
from aitoearn_async.emulator import Emulator, Fault

from .screens import console, on_terminal, say, screen_for
from .standing import Exit, Standing
from .view import account, counted, ends_of, kept, summary
from .watch import Watch, saver

Dialect = Literal["observed", "published"]


class Scene(NamedTuple):
    """A task that is to be played: the seconds in each word, then the word it ends in."""

    kind: Literal["image", "video"]
    life: tuple[tuple[str, float], ...]
    end: str
    about: str
    """What is asked for, or what happens."""
    bad_gateways: int = 0

    @property
    def stages(self) -> tuple[str | tuple[str, float], ...]:
        """Its life as the emulator takes it."""
        return (*self.life, self.end)


DEMO = (
    Scene("image", (("generating", 1.2),), "success", "a cat on a roof"),
    Scene("image", (("generating", 2.8),), "success", "the same cat, at night", bad_gateways=3),
    Scene("image", (("generating", 2.2),), "failed", "something that is refused"),
    Scene("video", (("NotStart", 0.9), ("InProgress", 2.4)), "SUCCESS", "rain on a window"),
    Scene("video", (("NotStart", 1.6), ("InProgress", 2.4)), "SUCCESS", "a red balloon"),
)
SAMPLES = (
    Scene("image", (("generating", 30.0),), "success", "succeeds in half a minute"),
    Scene("image", (("generating", 20.0),), "failed", "fails in 20 seconds"),
    Scene("video", (("NotStart", 15.0), ("InProgress", 45.0)), "SUCCESS", "takes a minute"),
    Scene("video", (), "InProgress", "never ends: try --timeout 10"),
)

_OPENING = """\
A server on this machine, {url}, speaks as AiToEarn does.
Five tasks are submitted to it, waited for all at once, and saved. One of them
will fail, and while another one runs, the server is down for a few polls (HTTP 502).
"""
_CLOSING = """\
The 502s cost one task a few polls, and nothing else. The failure was planned.
Next: put your key into AITOEARN_API_KEY, and let the service make something:

    aitoearn-async generate image --model gpt-image-2 "a cat on a roof" --save .

Without an account, run it against the server of `aitoearn-async emulator`."""
_SERVING = """\
# AiToEarn, played on this machine. In another terminal:
export AITOEARN_BASE_URL={url}
export AITOEARN_API_KEY={key}
export AITOEARN_PRIVATE_MEDIA=1

# Tasks to get or wait for; their lives begin now:"""
_ENDING = """\
#
# Or have something made:
#   aitoearn-async generate image --model gpt-image-2 "a cat on a roof" --save .
#
# Ctrl-C ends it."""


@contextlib.contextmanager
def folder(save: Path | None) -> Generator[Path]:
    """Where the files go.

    Args:
        save: The directory that was asked for. If none was, it is a new one among the system's
            temporary files, which stays only if the demo gets to its end.
    """
    if save is not None:
        yield save
        return
    made = Path(tempfile.mkdtemp(prefix="aitoearn-demo-"))
    try:
        yield made
    except typer.Exit as exit:
        if exit.exit_code != Exit.SUCCEEDED:
            shutil.rmtree(made)
        raise


async def play(directory: Path) -> Exit:
    """The demo. It succeeds if everything ends as planned, the planned failure included.

    Args:
        directory: Where the files go.
    """
    out = console()
    pace = wait_backoff(0.3, 1.5, 1.0)
    async with (
        Emulator() as service,
        # The emulator's files are on this machine, where nothing is fetched from unasked.
        Client(service.api_key, base_url=service.url, private_media=True) as client,
    ):
        out.print(_OPENING.format(url=service.url))
        refs = [await _submit(client, service, scene) for scene in DEMO]
        out.print()
        waiters = [client.wait_for(ref, wait=pace) for ref in refs]
        watch = Watch(waiters, saver(client, directory))
        with screen_for(watch.look, passing=True) as screen:
            standings = await watch.run(screen)

    if not on_terminal():
        out.print()
    met = [_on_the_way(waiter) for waiter in waiters]
    ended = summary(ends_of(standings), len(standings))
    for part in (account(standings, met), "", ended, ""):
        out.print(part)
    out.print("The files, yours to open and to delete:")
    for path in (path for standing in standings if standing.paths for path in kept(standing)):
        out.print(f"  {path}", soft_wrap=True)
    out.print("", _CLOSING, sep="\n")
    return Exit.SUCCEEDED if _as_planned(standings) else Exit.SERVICE


async def _submit(client: Client, service: Emulator, scene: Scene) -> AnyRef:
    """Have a scene's task made; what happens to it is arranged beforehand."""
    service.script(scene.kind, *scene.stages)
    ref: AnyRef
    if scene.kind == "image":
        ref = await client.submit(GenerateImage(model="gpt-image-2", prompt=scene.about))
    else:
        ref = await client.submit(GenerateVideo(model="sora-2", prompt=scene.about, duration=4))
    if scene.bad_gateways:
        # The first poll is to be a good one: a server is in trouble once it has worked.
        service.fault(Fault(delay=0.05), ref)
        service.fault(Fault(status=502), ref, times=scene.bad_gateways)
    say(f'submitted {ref}  "{scene.about}"')
    return ref


def _on_the_way(waiter: Waiter[Any]) -> str:
    """What its polls came to, but for the last."""
    last = [waiter.latest.status] if waiter.latest else []
    return counted(Counter(waiter.seen) - Counter(last))


def _as_planned(standings: list[Standing]) -> bool:
    """Whether each ended in its word, and those that made something have a file."""
    ends = [(each.task and each.task.status, bool(each.paths)) for each in standings]
    return ends == [(scene.end, scene.end.lower() == "success") for scene in DEMO]


async def serve(port: int, dialect: Dialect) -> None:
    """The emulator with the sample tasks, until cancelled.

    Raises:
        OSError: The port cannot be had.
    """
    async with Emulator(port=port, dialect=dialect) as service:
        say(_SERVING.format(url=service.url, key=service.api_key))
        for scene in SAMPLES:
            add = service.add_image if scene.kind == "image" else service.add_video
            say(f"#   {add(*scene.stages)}   {scene.about}")
        say(_ENDING)
        await asyncio.Event().wait()
