"""The types of values that people type: read, or refused in the words of the command line."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..language import later, tr

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from aitoearn_async import AnyRef

_UNITS = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d+)?)s)?", re.ASCII)
_PLAIN = re.compile(r"\d{1,9}(?:\.\d+)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:en|zh)[a-z0-9*,;=. -]{0,98}", re.ASCII | re.IGNORECASE)
_MEDIA_NAMES = (
    "avi avif bmp dds exr flv gif hdr heic heif ico ivf j2k jls jp2 jpeg jpg jph jpm jpx jxl jxr "
    "m2ts m4v mj2 mkv mov mp4 mpeg mpg mxf ogv pam pbm pfm pgm png ppm psb psd qoi svg svgz tga "
    "tif tiff ts webm webp wmv y4m"
)
MEDIA_SUFFIXES = frozenset(f".{name}" for name in _MEDIA_NAMES.split())
"""The suffixes by which `Client.download` recognises the name of a file."""
_PREFIXES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


class _Type(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A type of values.

    Args:
        metavar: Its name in the help.
        read: Reads a value, or raises why it cannot.
        missing: The advice where there is none.
        completes: The names that a shell completes it with: `file` or `dir`.
    """

    def __init__(
        self, metavar: str, read: Callable[[str], Any], missing: str = "", completes: str = ""
    ) -> None:
        self.name = metavar
        self._read = read
        self._missing = missing
        self._completes = completes

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        return self.name

    def get_missing_message(self, param: Any, ctx: Any = None) -> str | None:
        return tr(self._missing) if self._missing else None

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, self._completes)] if self._completes else []

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return self._read(value)
        except ValueError as error:
            is_variable = ctx.get_parameter_source(param.name) is ParameterSource.ENVIRONMENT
            named = f"'{param.envvar}'" if is_variable else None
            raise click.BadParameter(str(error), ctx, param, named) from None


class WholeIn(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        return super().convert(WHOLE.convert(value, param, ctx), param, ctx)


class NumberIn(click.FloatRange):
    """A number in a range."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        return super().convert(NUMBER.convert(value, param, ctx), param, ctx)


def _ref(value: str) -> AnyRef:
    from aitoearn_async import parse_ref

    try:
        return parse_ref(value)
    except ValueError as error:
        if not (forms := str(error).partition("; write ")[2]):
            raise
        problem = tr("{value!r:.80} is not a task: write {forms}")
        raise ValueError(problem.format(value=value, forms=forms)) from None


def _duration(value: str) -> float | None:
    if value == "none":
        return None
    if _PLAIN.fullmatch(value):
        return float(value)
    parts = _UNITS.fullmatch(value)
    if not value or parts is None:
        problem = tr("{value!r} is not a duration: write 90, 1.5s, 10m, 1h30m, or none")
        raise ValueError(problem.format(value=value))
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + seconds


def _size(value: str) -> int:
    match = _SIZE.fullmatch(value)
    size = int(match[1]) * _PREFIXES[match[2].lower()] if match else 0
    if not 0 < size <= sys.maxsize:
        problem = tr("{value!r} is not a size: write 800000, 500M or 4G")
        raise ValueError(problem.format(value=value))
    return size


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        problem = tr("there are no texts in {value!r}: write en, zh or zh-CN")
        raise ValueError(problem.format(value=value))
    return value


def _whole(value: Any) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(tr("{value!r} is not a whole number").format(value=value)) from None


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(tr("{value!r} is not a number").format(value=value)) from None


def _json(value: str) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except (ValueError, RecursionError):
        problem = tr("""write a JSON object, such as '{"key": "value"}'""")
        raise ValueError(problem) from None


def _file(value: str) -> Path:
    if not value:
        raise ValueError(tr("it is empty: name a file"))
    return Path(value)


def _media(value: str) -> str | Path:
    if not value:
        raise ValueError(tr("it is empty: name a file or an address"))
    if value.lower().startswith(("http://", "https://", "data:")):
        return value
    try:
        os.stat(value)
    except OSError as error:
        raise ValueError(f"{value:.100}: {error.strerror}") from None
    return Path(value)


def _place(value: str, metavar: str) -> Path:
    """Return where to save: a directory, or the name of the file for one task with one file."""
    if not value:
        raise ValueError(tr("it is empty: write {name}").format(name=metavar))
    path = Path(value)
    is_file = _is_media_file(path)
    if is_file and metavar == "DIR":
        text = tr("{name} is the name of a file: name a directory")
        raise ValueError(text.format(name=path.name))
    if (problem := _not_writable(path, is_file=is_file)) is not None:
        raise ValueError(problem)
    return path


def check_one_file(save: Path | None, *, several: bool) -> None:
    """Raise `click.BadParameter` where the place to save is one file, and there are several."""
    if save is not None and several and _is_media_file(save):
        problem = tr("{name} is the name of one file, and there are several: name a directory")
        raise click.BadParameter(problem.format(name=save.name), param_hint="'--save'")


def _is_media_file(path: Path) -> bool:
    return path.suffix.lower() in MEDIA_SUFFIXES and not os.path.isdir(path)


def _not_writable(path: Path, *, is_file: bool) -> str | None:
    """Return why files cannot be saved in a directory, or under a name; None if they can.

    Nothing stays behind: the directory itself is made when there is something to save.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return f"{path!s:.100}: {error.strerror}"
    folder = path.parent if is_file else path
    place = next(filter(os.path.lexists, (folder, *folder.parents)), folder)
    if not os.path.isdir(place):
        return tr("{place} is not a directory").format(place=place)
    try:
        # Permissions do not tell everything: a file system can be read-only.
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        problem = tr("{place} cannot be written to: {reason}")
        return problem.format(place=place, reason=error.strerror)


REF = _Type("REF", _ref)
MODEL = _Type("NAME", str, later("The command `models` lists them"))
DURATION = _Type("DURATION", _duration)
SIZE = _Type("SIZE", _size)
WHOLE = _Type("N", _whole)
NUMBER = _Type("N", _number)
LANGUAGE = _Type("TAG", _language)
JSON = _Type("JSON", _json)
FILE = _Type("FILE", _file, completes="file")
FILE_NAME = _Type("FILE", str, completes="file")
MEDIA = _Type("FILE|URL", _media, completes="file")
DIRECTORY = _Type("DIR", partial(_place, metavar="DIR"), completes="dir")
PLACE = _Type("DIR|FILE", partial(_place, metavar="DIR|FILE"), completes="file")
