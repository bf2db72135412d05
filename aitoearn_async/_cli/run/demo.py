"""`demo` and `emulator`: something to look at without an account.

The tasks and their lives are tables up here. How they are waited for, saved and shown is the
work of the other commands, which is the point of a demo.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click

from aitoearn_async import AnyRef, Client, GenerateImage, GenerateVideo, Waiter, wait_backoff
from aitoearn_async.emulator import Emulator, Fault

from ..language import later, tr
from ..options.groups import MediaOptions, ServiceOptions, WaitOptions
from ..report import words
from ..report.choice import reporter_for
from ..report.echo import echo, echo_error, on_terminal
from ..report.exit_status import ExitStatus
from ..report.live import console
from ..report.snapshot import WaitSnapshot
from ..report.tables import ends_table, summary
from .client import usage_errors
from .execute import execute
from .settings import Settings
from .watch import Watch

Dialect = Literal["observed", "published"]


class Scene(NamedTuple):
    """A task of the emulator."""

    kind: Literal["image", "video"]
    stages: tuple[str | tuple[str, float], ...]
    """Its statuses with their seconds, then its last status."""
    about: str
    """The prompt, or a description."""
    bad_gateways: int = 0


DEMO = (
    Scene("image", (("generating", 1.2), "success"), "a cat on a roof"),
    Scene("image", (("generating", 2.8), "success"), "the same cat, at night", bad_gateways=3),
    Scene("image", (("generating", 2.2), "failed"), "something that is refused"),
    Scene("video", (("NotStart", 0.9), ("InProgress", 2.4), "SUCCESS"), "rain on a window"),
    Scene("video", (("NotStart", 1.6), ("InProgress", 2.4), "SUCCESS"), "a red balloon"),
)
SAMPLES = (
    Scene("image", (("generating", 30.0), "success"), later("succeeds in half a minute")),
    Scene("image", (("generating", 20.0), "failed"), later("fails in 20 seconds")),
    Scene("video", (("NotStart", 15.0), ("InProgress", 45.0), "SUCCESS"), later("takes a minute")),
    Scene("video", ("InProgress",), later("never ends: try --timeout 10")),
)

_OPENING = later("""\
A server on this machine, {url}, speaks as AiToEarn does.
Five tasks are submitted to it, waited for all at once, and saved. One of them
will fail, and while another one runs, the server is down for a few polls (HTTP 502).
""")
_CLOSING = later("""\
The 502s cost one task a few polls, and nothing else. The failure was planned.
Next: put your key into AITOEARN_API_KEY, and let the service make something:

    aitoearn-async generate image --model gpt-image-2 "a cat on a roof" --save .

Without an account, run it against the server of `aitoearn-async emulator`.""")
_SERVING = later("""\
# AiToEarn, played on this machine. In another terminal:
export AITOEARN_BASE_URL={url}
export AITOEARN_API_KEY={key}
export AITOEARN_PRIVATE_MEDIA=1

# Tasks to get or wait for; their lives begin now:""")
_ENDING = later("""\
#
# Or have something made:
#   aitoearn-async generate image --model gpt-image-2 "a cat on a roof" --save .
#
# Ctrl-C ends it.""")


def demo(*, save: Path | None) -> ExitStatus:
    """Play the demo; without a directory for its files, in a new one, kept at a good end only."""
    if save is not None:
        return execute(play(save))
    try:
        made = Path(tempfile.mkdtemp(prefix="aitoearn-demo-"))
    except FileNotFoundError as error:
        if error.filename is not None:
            raise
        # There is no directory for temporary files.
        raise click.UsageError(str(error.strerror)) from None
    status = ExitStatus.INTERRUPTED
    try:
        status = execute(play(made))
    finally:
        if status is not ExitStatus.SUCCEEDED:
            shutil.rmtree(made)
    return status


def emulator(*, port: int, dialect: Dialect) -> ExitStatus:
    """Serve the emulator, until it is interrupted."""
    return execute(serve(port, dialect), lambda: ExitStatus.SUCCEEDED)


async def play(directory: Path) -> ExitStatus:
    """Submit, watch and save. Succeed if everything ends as planned, its one failure included."""
    out = console()
    pace = wait_backoff(0.3, 1.5, 1.0)
    async with _quiet(), Emulator() as service, _client_of(service) as client:
        out.print(tr(_OPENING).format(url=service.url))
        refs = [await _submit(client, service, scene) for scene in DEMO]
        out.print()
        watch = Watch(client, refs, _settings(directory), wait=pace)
        with reporter_for(watch.snapshots, erase=True) as reporter:
            await watch.run(reporter)
        snapshots = watch.snapshots()

    if not on_terminal():
        out.print()
    met = [_results_on_the_way(waiter) for waiter in watch.waiters]
    ended = summary(words.count_ends(snapshots), len(snapshots))
    for part in (ends_table(snapshots, met), "", ended, ""):
        out.print(part)
    out.print(tr("The files, yours to open and to delete:"))
    for path in (path for each in snapshots if each.paths for path in words.result_places(each)):
        out.print(f"  {path}", soft_wrap=True)
    out.print("", tr(_CLOSING), sep="\n")
    return ExitStatus.SUCCEEDED if _as_planned(snapshots) else ExitStatus.SERVICE


def _client_of(service: Emulator) -> Client:
    with usage_errors():
        # The emulator's files are on this machine. Without this, none would be fetched from there.
        return Client(service.api_key, base_url=service.url, private_media=True)


@contextlib.asynccontextmanager
async def _quiet() -> AsyncGenerator[None]:
    """Keep warnings of the planned trouble from stderr, unless somebody has set up a log."""
    log = logging.getLogger("aitoearn_async")
    before = log.level
    if not log.hasHandlers():
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _settings(directory: Path) -> Settings:
    service = ServiceOptions(as_json=False, base_url=None, language=None, proxy=None, ca=None)
    return Settings(
        WaitOptions(1800.0, 300.0, 600.0), MediaOptions(2**30, True), service, directory
    )


async def _submit(client: Client, service: Emulator, scene: Scene) -> AnyRef:
    """Submit a scene's task, with its statuses and faults arranged beforehand."""
    service.script(scene.kind, *scene.stages)
    ref: AnyRef
    if scene.kind == "image":
        ref = await client.submit(GenerateImage(model="gpt-image-2", prompt=scene.about))
    else:
        ref = await client.submit(GenerateVideo(model="sora-2", prompt=scene.about, duration=4))
    if scene.bad_gateways:
        # The first poll gets a good answer, so that the server has worked before it is in trouble.
        service.fault(Fault(delay=0.05), ref)
        service.fault(Fault(status=502), ref, times=scene.bad_gateways)
    echo(tr('submitted {ref}  "{about}"').format(ref=ref, about=scene.about))
    return ref


def _results_on_the_way(waiter: Waiter[Any]) -> str:
    """Return the results of its polls, without that of the last one."""
    last = [waiter.latest.status] if waiter.latest else []
    met = Counter(waiter.seen) - Counter(last)
    trouble_first = sorted(met.items(), key=lambda item: not item[0].startswith("HTTP"))
    return words.counts_text(dict(trouble_first))


def _as_planned(snapshots: list[WaitSnapshot]) -> bool:
    """Return whether each ended in its status, and those that made something have a file."""
    ends = [(each.task and each.task.status, bool(each.paths)) for each in snapshots]
    return ends == [(end, end in ("success", "SUCCESS")) for *_, end in (s.stages for s in DEMO)]


async def serve(port: int, dialect: Dialect) -> ExitStatus:
    """Serve the emulator with the sample tasks, until cancelled."""
    service = Emulator(port=port, dialect=dialect)
    try:
        await service.start()
    except OSError as error:
        note = tr("no server on port {port}: {reason}")
        echo_error(note.format(port=port, reason=os.strerror(error.errno or 0)))
        return ExitStatus.USAGE
    async with service:
        echo(tr(_SERVING).format(url=service.url, key=service.api_key))
        for scene in SAMPLES:
            add = service.add_image if scene.kind == "image" else service.add_video
            echo(f"#   {add(*scene.stages)}   {tr(scene.about)}")
        echo(tr(_ENDING))
        end: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        return await end  # which never comes: it is only ever interrupted
