"""The commands that find something: `videos`, the caller's own tasks, and `models`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal

import msgspec
import typer

from aitoearn_async import AiToEarnError, Client, Model, SkippedVideo

from .arguments import client_of
from .running import AsJson, BaseUrl, Language, interrupted, run_to_exit
from .screens import complain, say
from .standing import Exit, exit_of
from .view import offer, row

Kind = Literal["image", "edit", "video"]


def videos(
    limit: Annotated[int, typer.Option(min=0, help="How many to show; 0: all.")] = 20,
    page_size: Annotated[
        int, typer.Option(min=1, max=1000, help="How many to ask for at a time.")
    ] = 100,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """List your own video tasks, newest first.

    Tasks that the service cannot show are named on stderr by their place, and make the exit
    status 4. The service has no list of image tasks.
    """
    size = min(page_size, limit) if limit else page_size
    client = client_of(base_url, language)
    run_to_exit(_videos(client, limit, size, as_json=as_json), interrupted)


def models(
    kind: Annotated[
        Kind | None, typer.Argument(help="For making images, editing them, or videos.")
    ] = None,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """List the models there are, and what each accepts."""
    client = client_of(base_url, language)
    run_to_exit(_models(client, kind, as_json=as_json), interrupted)


async def _videos(client: Client, limit: int, page_size: int, *, as_json: bool) -> Exit:
    def skipped(video: SkippedVideo) -> None:
        complain(f"task {video.position + 1} of the list cannot be shown: {video.error}")

    shown = 0
    async with client:
        listed = client.list_videos(page_size=page_size, skipped=skipped)
        try:
            async for task in listed:
                say(msgspec.json.encode(task) if as_json else row(task))
                shown += 1
                if shown == limit:
                    break
        except AiToEarnError as error:
            complain(str(error))
            return exit_of(error)
    return Exit.SERVICE if listed.skipped else Exit.SUCCEEDED


async def _models(client: Client, kind: Kind | None, *, as_json: bool) -> Exit:
    asks: dict[str, Callable[[], Awaitable[Sequence[Model]]]] = {
        "image": client.image_models,
        "edit": client.edit_models,
        "video": client.video_models,
    }
    async with client:
        for name, ask in asks.items():
            if kind not in (None, name):
                continue
            try:
                found = await ask()
            except AiToEarnError as error:
                complain(str(error))
                return exit_of(error)
            for model in found:
                line = msgspec.json.encode({"for": name, "model": model})
                say(line if as_json else offer(name, model))
    return Exit.SUCCEEDED
