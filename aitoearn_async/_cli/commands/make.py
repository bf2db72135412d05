"""The commands that make something: `generate image`, `generate video`, `edit image`."""

from __future__ import annotations

from typing import Any

import click

from ..language import tr
from ..options.groups import (
    EditFields,
    ImageFields,
    MediaOptions,
    ServiceOptions,
    SubmitOptions,
    VideoFields,
    WaitOptions,
    takes,
)
from ..report.exit_status import ExitStatus
from .group import Group

_IMAGE_EXAMPLES = """\
\b
Examples:
  aitoearn-async generate image --model gpt-image-2 "a cat on a roof" --save .
  aitoearn-async generate image --model gpt-image-2 --n 4 --size 1024x1024 "a cat\""""
_VIDEO_EXAMPLES = """\
\b
Examples:
  aitoearn-async generate video --model sora-2 --duration 4 "rain" --save .
  aitoearn-async generate video --model wan2.6-i2v --image cat.png "it jumps" """
_EDIT_EXAMPLE = """\
\b
Example:
  aitoearn-async edit image --model gpt-image-2 --image cat.png "at night" --save ."""


def _prompt(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> str:
    prompt = " ".join(words)
    if len(words) > 1:
        message = tr('Quote the prompt, so that it is one argument: "{prompt}"')
        raise click.UsageError(message.format(prompt=prompt[:200]), ctx)
    return prompt


_PROMPT = click.argument("prompt", metavar="PROMPT", nargs=-1, required=True, callback=_prompt)
_OPTIONS = takes(
    options=SubmitOptions, limits=WaitOptions, media=MediaOptions, service=ServiceOptions
)


@click.group(cls=Group)
def generate() -> None:
    """Make something from words."""


@click.group(cls=Group)
def edit() -> None:
    """Make something from pictures."""


@generate.command("image", epilog=_IMAGE_EXAMPLES)
@_PROMPT
@takes(fields=ImageFields)
@_OPTIONS
def generate_image(**values: Any) -> ExitStatus:
    """Make images from words.

    It spends credits, and is sent once. It prints the addresses of the images, or with --save
    the paths. Interrupting the wait does not stop the task.
    """
    from ..run import submit

    return submit.submit(**values)


@generate.command("video", epilog=_VIDEO_EXAMPLES)
@_PROMPT
@takes(fields=VideoFields)
@_OPTIONS
def generate_video(**values: Any) -> ExitStatus:
    """Make a video from words, and from pictures if there are any.

    It spends credits, and is sent once. It prints the address of the video, or with --save the
    path. Interrupting the wait does not stop the task.
    """
    from ..run import submit

    return submit.submit(**values)


@edit.command("image", epilog=_EDIT_EXAMPLE)
@_PROMPT
@takes(fields=EditFields)
@_OPTIONS
def edit_image(**values: Any) -> ExitStatus:
    """Make an image from others.

    It spends credits, and is sent once. It prints the address of the image, or with --save the
    path. Interrupting the wait does not stop the task.
    """
    from ..run import submit

    return submit.submit(**values)
