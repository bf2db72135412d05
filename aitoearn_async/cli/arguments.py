"""What is typed at a prompt, read into the package's own values or refused in its words."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from aitoearn_async import AnyRef, Client, parse_ref

from .screens import complain

KEY = "AITOEARN_API_KEY"
BASE_URL = "AITOEARN_BASE_URL"
PRIVATE_MEDIA = "AITOEARN_PRIVATE_MEDIA"
SAVE = "--save"

_UNITS = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d+)?)s)?", re.ASCII)
_PLAIN = re.compile(r"\d{1,9}(?:\.\d+)?", re.ASCII)


def refs_of(texts: Iterable[str]) -> list[AnyRef]:
    """The tasks, each once.

    Raises:
        typer.BadParameter: One of them is none.
    """
    try:
        return list(dict.fromkeys(parse_ref(text) for text in texts))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="REF") from None


def seconds_of(option: str, text: str) -> float | None:
    """A duration in seconds; None for none.

    Raises:
        typer.BadParameter: It is no duration.
    """
    if text == "none":
        return None
    if _PLAIN.fullmatch(text):
        return float(text)
    parts = _UNITS.fullmatch(text)
    if not text or parts is None:
        raise typer.BadParameter(
            f"{text!r} is no duration: write 90, 1.5s, 10m, 1h30m, or none", param_hint=option
        )
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + seconds


def directory_of(save: str | None) -> Path | None:
    """Where to save; None if nothing is to be.

    Raises:
        typer.BadParameter: It is empty, as a variable of a shell's that is not set.
    """
    if save == "":
        raise typer.BadParameter("it is empty: name a directory", param_hint=SAVE)
    return None if save is None else Path(save)


def client_of(base_url: str | None, language: str | None, **limits: Any) -> Client:
    """The client that the environment and the options describe.

    Args:
        base_url: The address, if not the default one.
        language: The language, if any.
        limits: What else `Client` is to be given.

    Raises:
        typer.BadParameter: Something is missing or cannot be used.
    """
    if not os.environ.get(KEY):
        raise typer.BadParameter(
            "it is not set. Put the API key of your AiToEarn account there", param_hint=KEY
        )
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            client = Client(base_url=base_url or None, language=language or None, **limits)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for warning in warned:
        complain(f"Warning: {warning.message}")
    return client
