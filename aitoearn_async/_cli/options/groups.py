"""The options of commands, as dataclasses: a field is an option, with its name, type and help.

A command takes a group as one value: `@takes(wait=WaitOptions)`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from ..language import VARIABLE
from . import types

KEY = "AITOEARN_API_KEY"
BASE_URL = "AITOEARN_BASE_URL"

T = TypeVar("T")


def option(*names: str, **attributes: Any) -> Any:
    """Declare a field that is an option.

    Args:
        names: Its names on the command line; else that of the field.
        attributes: As in `click.option`.
    """
    return field(metadata={"names": names, "attributes": attributes})


def takes(**groups: type[Any]) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Give a command the options of these dataclasses, each of them as one argument."""

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def filled(**values: Any) -> T:
            for name, kind in groups.items():
                values[name] = kind(**{each.name: values.pop(each.name) for each in fields(kind)})
            return command(**values)

        for kind in reversed(groups.values()):
            for each in reversed(fields(kind)):
                attributes = each.metadata["attributes"]
                filled = click.option(each.name, *names_of(each), **attributes)(filled)
        return filled

    return decorate


def names_of(field: Field[Any]) -> tuple[str, ...]:
    """Return what an option is called on the command line."""
    return field.metadata["names"] or (f"--{field.name.replace('_', '-')}",)


AS_JSON = option("--json", is_flag=True, help="Print JSON, one object a line.")


@dataclass(frozen=True, repr=False)  # the address of a proxy may hold a password
class ServiceOptions:
    """The options of all commands that ask the service."""

    as_json: bool = AS_JSON
    base_url: str | None = option(
        metavar="URL", envvar=BASE_URL, help="The address of the service."
    )
    language: str | None = option(
        type=types.LANGUAGE,
        envvar=VARIABLE,
        help="The language of these texts and of the service's messages: en, zh or zh-CN.",
    )
    proxy: str | None = option(
        metavar="URL", help="Use this proxy, in place of HTTPS_PROXY and HTTP_PROXY."
    )
    ca: Path | None = option(
        type=types.FILE, help="Trust the certificate authorities in this PEM file too."
    )


@dataclass(frozen=True)
class MediaOptions:
    """The options of all commands that can save files."""

    max_bytes: int = option(
        type=types.SIZE,
        default="1G",
        help="The largest file to save, such as 500M.  [default: 1G]",
    )
    private_media: bool = option(is_flag=True, help="Allow files from and to internal networks.")


@dataclass(frozen=True)
class WaitOptions:
    """The limits of a wait."""

    timeout: float | None = option(
        type=types.DURATION,
        default="30m",
        help="The time each task has: 90, 1.5s, 10m, 1h30m, or none.  [default: 30m]",
    )
    patience: float | None = option(
        type=types.DURATION,
        default="5m",
        help="The time without a good answer until a task is given up.  [default: 5m]",
    )
    save_timeout: float | None = option(
        type=types.DURATION,
        default="10m",
        help="The time that saving a task may stand still.  [default: 10m]",
    )


@dataclass(frozen=True)
class ListOptions:
    """The files of a long list of tasks."""

    file: str | None = option(
        type=types.FILE_NAME,
        help="Read more tasks from this file, one a line; - is standard input.",
    )
    out: str | None = option(
        type=types.FILE_NAME, help="Add outcomes to this file, and leave out what has ended in it."
    )
    max_pending: int = option(
        metavar="N",
        type=types.WholeIn(min=1),
        default=100_000,
        help="Tasks of a long list to wait for at the same time.  [default: 100000]",
    )


@dataclass(frozen=True)
class RateOptions:
    """The limits of a client's requests."""

    concurrency: int = option(
        metavar="N",
        type=types.WholeIn(min=1),
        default=64,
        help="Requests at the same time.  [default: 64]",
    )
    rate: float | None = option(
        metavar="N", type=types.NumberIn(min=0.001), help="Requests a second, at most."
    )


@dataclass(frozen=True)
class SubmitOptions:
    """The options of all commands that submit."""

    wait: bool = option(
        "--wait/--no-wait",
        default=True,
        help="Wait for the task, or print its name and leave.  [default: wait]",
    )
    save: Path | None = option(
        type=types.PLACE, help="Save what was made in this directory, or as this file."
    )
    upload: Literal["auto", "always", "never"] = option(
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Upload files first, or send them in the request.  [default: auto]",
    )
    check: bool | None = option(
        "--check/--no-check",
        default=None,
        help="First compare the request with what the model accepts.  "
        "[default: if the list of models comes at once]",
    )
    at_most: float | None = option(
        metavar="PRICE",
        type=types.NUMBER,
        help="Submit nothing that may cost more, by the service's list of models.",
    )
    fleet: bool = option(
        is_flag=True,
        help="Add the task to the fleet of AITOEARN_FLEET, and do not wait for it here.",
    )


_FORMAT = option(
    "--format",
    type=click.Choice(["url", "b64_json"]),
    help="Today both are answered with addresses.",
)
_MODEL = option(type=types.MODEL, required=True, help="A model: see the command `models`.")

_EXTRA = option(
    type=types.JSON, help="Fields of the service that are newer than this program, as JSON."
)


@dataclass(frozen=True)
class ImageFields:
    """The fields of `GenerateImage`."""

    model: str = _MODEL
    n: int | None = option(metavar="N", type=types.WHOLE, help="The number of images, 1 to 10.")
    size: str | None = option(metavar="SIZE", help="Such as 1024x1024.")
    quality: str | None = option(metavar="WORD", help="Such as high.")
    style: str | None = option(metavar="WORD", help="One of the model's styles.")
    response_format: str | None = _FORMAT
    extra: dict[str, Any] | None = _EXTRA


@dataclass(frozen=True)
class EditFields:
    """The fields of `EditImage`."""

    model: str = _MODEL
    image: tuple[str | Path, ...] = option(
        type=types.MEDIA, multiple=True, required=True, help="A picture to edit; can be repeated."
    )
    mask: str | Path | None = option(
        type=types.MEDIA, help="A picture that is transparent where to edit."
    )
    size: str | None = option(metavar="SIZE", help="Such as 1024x1024.")
    response_format: str | None = _FORMAT
    extra: dict[str, Any] | None = _EXTRA


@dataclass(frozen=True)
class VideoFields:
    """The fields of `GenerateVideo`."""

    model: str = _MODEL
    image: tuple[str | Path, ...] = option(
        type=types.MEDIA, multiple=True, help="The first frame; can be repeated for some models."
    )
    image_tail: str | Path | None = option("--last-image", type=types.MEDIA, help="The last frame.")
    images: tuple[str | Path, ...] = option(
        "--reference",
        type=types.MEDIA,
        multiple=True,
        help="A picture to refer to; can be repeated.",
    )
    video_url: str | None = option(metavar="URL", help="A video to change.")
    audios: tuple[str | Path, ...] = option(
        "--audio", type=types.MEDIA, multiple=True, help="A sound to refer to; can be repeated."
    )
    duration: float | None = option(metavar="SECONDS", type=types.NUMBER, help="The length.")
    resolution: str | None = option(metavar="WORD", help="Such as 720p.")
    ratio: str | None = option(metavar="RATIO", help="Such as 16:9.")
    size: str | None = option(metavar="SIZE", help="Such as 1280x720.")
    mode: str | None = option(metavar="WORD", help="One of the model's modes.")
    seed: int | None = option(metavar="N", type=types.WHOLE, help="A seed for repeatable results.")
    watermark: bool | None = option(
        "--watermark/--no-watermark", default=None, help="Put a watermark on the video, or none."
    )
    metadata: dict[str, Any] | None = option(
        type=types.JSON, help="More parameters of the model's provider, as a JSON object."
    )
    group_id: str | None = option(
        "--group", metavar="ID", help="The media group to store the video in."
    )
    extra: dict[str, Any] | None = _EXTRA


@dataclass(frozen=True, repr=False)  # the address may hold a password
class FleetOptions:
    """The options of all commands of a fleet."""

    url: str | None = option(
        "--fleet",
        metavar="URL",
        envvar="AITOEARN_FLEET",
        help="postgresql://…, redis://… or sqlite:///FILE.  [default: sqlite:///aitoearn-fleet.db]",
    )
    name: str = option(
        metavar="NAME", default="fleet", help="The fleet's name in there.  [default: fleet]"
    )
    lease: float = option(
        metavar="SECONDS",
        type=types.NumberIn(min=1.0),
        default=15.0,
        help="The time until a silent member counts as dead.  [default: 15]",
    )


@dataclass(frozen=True, repr=False)
class FleetReportOptions(FleetOptions):
    """The options of the commands of a fleet that print what they find."""

    as_json: bool = AS_JSON
