"""The commands that make something: `generate image`, `generate video`, `edit image`.

A submit spends credits. So the ref is printed as soon as there is one, and whatever ends the
command early says whether there may be a task.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

import msgspec
import typer

from aitoearn_async import (
    AiToEarnError,
    Client,
    EditImage,
    GenerateImage,
    GenerateVideo,
    TaskRef,
    TaskRequest,
)

from .arguments import SAVE, client_of, directory_of, seconds_of
from .running import (
    AsJson,
    BaseUrl,
    Language,
    Limits,
    Patience,
    PrivateMedia,
    Timeout,
    run_to_exit,
)
from .screens import complain, say, screen_for
from .standing import Exit, exit_of, worst
from .view import left
from .watch import Watch, saver

generate: typer.Typer = typer.Typer(no_args_is_help=True, help="Make something from words.")
edit: typer.Typer = typer.Typer(no_args_is_help=True, help="Make something from pictures.")

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What to make, in words.")]
ModelName = Annotated[str, typer.Option("--model", metavar="NAME", help="See `models`.")]
Images = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="FILE|URL", help="A picture to work from; can be repeated."),
]
Size = Annotated[str | None, typer.Option(help="Such as 1024x1024.")]
Format = Annotated[
    Literal["url", "b64_json"] | None,
    typer.Option("--format", help="Images as addresses, or in the answer itself."),
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the task has ended, or print its name.")
]
Save = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Save what was made there, and print where it is."),
]
Check = Annotated[bool, typer.Option("--check", help="First compare with what the model accepts.")]


class Options(NamedTuple):
    """What the three commands share."""

    wait: bool
    check: bool
    as_json: bool
    limits: Limits
    directory: Path | None


@generate.command("image")
def generate_image(
    prompt: Prompt,
    model: ModelName,
    n: Annotated[int | None, typer.Option("--n", help="How many, 1 to 10.")] = None,
    size: Size = None,
    quality: Annotated[str | None, typer.Option(help="Such as high.")] = None,
    style: Annotated[str | None, typer.Option(help="One of the model's styles.")] = None,
    format: Format = None,
    wait: Wait = True,
    save: Save = None,
    check: Check = False,
    as_json: AsJson = False,
    timeout: Timeout = "30m",
    patience: Patience = "5m",
    private_media: PrivateMedia = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Make images from words.

    It spends credits, and is sent once. Prints the addresses of what was made, or with --save
    the paths. Interrupting the wait does not stop the task.
    """
    fields = {"n": n, "size": size, "quality": quality, "style": style, "response_format": format}
    limits = _limits(timeout, patience)
    options = Options(wait, check, as_json, limits, _directory(save, wait=wait))
    request = _request(GenerateImage, model=model, prompt=prompt, **fields)
    _make(client_of(base_url, language, private_media=private_media), request, options)


@generate.command("video")
def generate_video(
    prompt: Prompt,
    model: ModelName,
    image: Images = None,
    last_image: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="The last frame.")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|URL", help="A picture to refer to; can be repeated."),
    ] = None,
    video_url: Annotated[str | None, typer.Option(metavar="URL", help="A video to change.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    resolution: Annotated[str | None, typer.Option(help="Such as 720p.")] = None,
    ratio: Annotated[str | None, typer.Option(help="Such as 16:9.")] = None,
    size: Annotated[str | None, typer.Option(help="Such as 1280x720.")] = None,
    mode: Annotated[str | None, typer.Option(help="In the model's own words.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes chance repeatable.")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="ID", help="The media group to store it in.")
    ] = None,
    wait: Wait = True,
    save: Save = None,
    check: Check = False,
    as_json: AsJson = False,
    timeout: Timeout = "30m",
    patience: Patience = "5m",
    private_media: PrivateMedia = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Make a video from words, and from pictures if there are any.

    It spends credits, and is sent once. Prints the addresses of what was made, or with --save
    the paths. Interrupting the wait does not stop the task.
    """
    frames = _sources(image)
    fields: dict[str, Any] = {
        "image": frames[0] if len(frames) == 1 else frames or None,
        "image_tail": None if last_image is None else _source(last_image),
        "images": _sources(reference) or None,
        "video_url": video_url,
        "duration": duration,
        "resolution": resolution,
        "ratio": ratio,
        "size": size,
        "mode": mode,
        "seed": seed,
        "group_id": group,
    }
    limits = _limits(timeout, patience)
    options = Options(wait, check, as_json, limits, _directory(save, wait=wait))
    request = _request(GenerateVideo, model=model, prompt=prompt, **fields)
    _make(client_of(base_url, language, private_media=private_media), request, options)


@edit.command("image")
def edit_image(
    prompt: Prompt,
    model: ModelName,
    image: Annotated[
        list[str],
        typer.Option(metavar="FILE|URL", help="A picture to work from; can be repeated."),
    ],
    mask: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="Transparent where to work.")
    ] = None,
    size: Size = None,
    format: Format = None,
    wait: Wait = True,
    save: Save = None,
    check: Check = False,
    as_json: AsJson = False,
    timeout: Timeout = "30m",
    patience: Patience = "5m",
    private_media: PrivateMedia = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Make an image from others.

    It spends credits, and is sent once. Prints the addresses of what was made, or with --save
    the paths. Interrupting the wait does not stop the task.
    """
    pictures = _sources(image)
    fields: dict[str, Any] = {
        "image": pictures[0] if len(pictures) == 1 else pictures,
        "mask": None if mask is None else _source(mask),
        "size": size,
        "response_format": format,
    }
    limits = _limits(timeout, patience)
    options = Options(wait, check, as_json, limits, _directory(save, wait=wait))
    request = _request(EditImage, model=model, prompt=prompt, **fields)
    _make(client_of(base_url, language, private_media=private_media), request, options)


def _limits(timeout: str, patience: str) -> Limits:
    return Limits(seconds_of("--timeout", timeout), seconds_of("--patience", patience))


def _directory(save: str | None, *, wait: bool) -> Path | None:
    path = directory_of(save)
    if path is None:
        return None
    # What can be known to go wrong afterwards is said before anything is paid for.
    if not wait:
        raise _no_place("with --no-wait there is nothing to save yet: see download")
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _no_place(f"{save:.100}: {error.strerror}") from None
    place = next(filter(os.path.lexists, (path, *path.parents)), path)
    if not place.is_dir():
        raise _no_place(f"{place} is no directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise _no_place(f"{place} cannot be written to")
    return path


def _no_place(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint=SAVE)


def _source(text: str) -> str | Path:
    """An address as it is, and everything else as a file."""
    if not text:
        raise typer.BadParameter("a picture is a file or an address, and not nothing")
    is_address = text.lower().startswith(("http://", "https://", "data:"))
    return text if is_address else Path(text)


def _sources(texts: Iterable[str] | None) -> list[str | Path]:
    return [_source(text) for text in texts or ()]


def _request(kind: type[TaskRequest[Any]], **fields: Any) -> TaskRequest[Any]:
    try:
        return kind(**fields)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


class _Making:
    """One submit and its wait, and how far they have got."""

    def __init__(self, client: Client, request: TaskRequest[Any], options: Options) -> None:
        self._client = client
        self._request = request
        self._options = options
        self._watch: Watch | None = None
        self._open: list[str] = []

    async def work(self) -> Exit:
        async with self._client:
            try:
                ref = await self._submit()
            except AiToEarnError as error:
                complain(str(error))
                return exit_of(error)
            except (ValueError, OSError) as error:
                complain(str(error))
                return Exit.USAGE
            return await self._wait(ref) if self._options.wait else self._name(ref)

    async def _submit(self) -> TaskRef[Any]:
        try:
            ref: TaskRef[Any] = await self._client.submit(self._request, check=self._options.check)
        except asyncio.CancelledError as cancelled:
            self._open = getattr(cancelled, "__notes__", [])
            raise
        return ref

    def _name(self, ref: TaskRef[Any]) -> Exit:
        try:
            say(msgspec.json.encode({"ref": str(ref)}) if self._options.as_json else str(ref))
        except OSError:
            complain(f"submitted {ref}")  # it is paid for, and named nowhere else
            raise
        return Exit.SUCCEEDED

    async def _wait(self, ref: TaskRef[Any]) -> Exit:
        complain(f"submitted {ref}")
        waiter = self._client.wait_for(ref, **self._options.limits._asdict())
        self._watch = watch = Watch([waiter], saver(self._client, self._options.directory))
        with screen_for(watch.look, as_json=self._options.as_json) as screen:
            standings = await watch.run(screen)
        return worst(standing.exit for standing in standings)

    def interrupted(self) -> Exit:
        if self._watch is not None:
            complain(left(self._watch.look()))
        else:
            complain(f"interrupted; {' '.join(self._open) or 'nothing was submitted'}")
        return Exit.INTERRUPTED


def _make(client: Client, request: TaskRequest[Any], options: Options) -> NoReturn:
    making = _Making(client, request, options)
    run_to_exit(making.work(), making.interrupted)
