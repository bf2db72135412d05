"""The types of values that people type: read, or refused in the words of the command line."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..language import tr

if TYPE_CHECKING:
    from aitoearn_async import AnyRef

_UNITS = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d+)?)s)?", re.ASCII)
_PLAIN = re.compile(r"\d{1,9}(?:\.\d+)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*,;=. -]{0,99}", re.ASCII)
_MEDIA_NAMES = (
    "avi avif bmp dds exr flv gif hdr heic heif ico ivf j2k jls jp2 jpeg jpg jph jpm jpx jxl jxr "
    "m2ts m4v mj2 mkv mov mp4 mpeg mpg mxf ogv pam pbm pfm pgm png ppm psb psd qoi svg svgz tga "
    "tif tiff ts webm webp wmv y4m"
)
MEDIA_SUFFIXES = frozenset(f".{name}" for name in _MEDIA_NAMES.split())
"""The suffixes by which `Client.download` recognises the name of a file."""
_PREFIXES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


class _Type(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A type whose name in the help is its own."""

    def __init__(self, metavar: str) -> None:
        self.name = metavar

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        return self.name


class _Ref(_Type):
    def convert(self, value: Any, param: Any, ctx: Any) -> AnyRef:
        from aitoearn_async import parse_ref

        try:
            return parse_ref(value)
        except ValueError as error:
            problem = str(error)
            if forms := problem.partition("; write ")[2]:
                said = tr("{value!r:.80} is not a task: write {forms}")
                problem = said.format(value=value, forms=forms)
            self.fail(problem, param, ctx)


class _Model(_Type):
    def get_missing_message(self, param: Any, ctx: Any = None) -> str:
        return tr("The command `models` lists them")

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        return str(value)


class _Duration(_Type):
    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        if value == "none":
            return None
        if _PLAIN.fullmatch(value):
            return float(value)
        parts = _UNITS.fullmatch(value)
        if not value or parts is None:
            problem = tr("{value!r} is not a duration: write 90, 1.5s, 10m, 1h30m, or none")
            self.fail(problem.format(value=value), param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        return hours * 3600 + minutes * 60 + seconds


class _Size(_Type):
    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        match = _SIZE.fullmatch(value)
        if match is None or not int(match[1]):
            problem = tr("{value!r} is not a size: write 800000, 500M or 4G")
            self.fail(problem.format(value=value), param, ctx)
        return int(match[1]) * _PREFIXES[match[2].lower()]


class _Language(_Type):
    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if not _LANGUAGE.fullmatch(value):
            problem = tr("{value!r} is not a language: write en-US or zh-CN")
            self.fail(problem.format(value=value), param, ctx)
        return str(value)


class _Json(_Type):
    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, Any]:
        import msgspec

        try:
            return msgspec.json.decode(value, type=dict[str, Any])
        except (ValueError, RecursionError):
            self.fail(tr("""write a JSON object, such as '{"key": "value"}'"""), param, ctx)


class _File(_Type):
    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        if not value:
            self.fail(tr("it is empty: name a file"), param, ctx)
        return Path(value)


class _Media(_Type):
    def convert(self, value: Any, param: Any, ctx: Any) -> str | Path:
        if not value:
            self.fail(tr("it is empty: name a file or an address"), param, ctx)
        if value.lower().startswith(("http://", "https://", "data:")):
            return str(value)
        try:
            os.stat(value)
        except OSError as error:
            self.fail(f"{value:.100}: {error.strerror}", param, ctx)
        return Path(value)


class _SavePlace(_Type):
    """The place for files: a directory, or the name of the file for one task with one file."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        if not value:
            self.fail(tr("it is empty: write {name}").format(name=self.name), param, ctx)
        path = Path(value)
        is_file = _is_media_file(path)
        if is_file and self.name == "DIR":
            text = tr("{name} is the name of a file: name a directory")
            self.fail(text.format(name=path.name), param, ctx)
        if (problem := _not_writable(path, is_file=is_file)) is not None:
            self.fail(problem, param, ctx)
        return path


def one_file(save: Path | None, *, several: bool) -> Path | None:
    """Return the place to save in, if so many files can be saved there.

    Raises:
        click.BadParameter: It is one file, and there are several.
    """
    if save is not None and several and _is_media_file(save):
        problem = tr("{name} is the name of one file, and there are several: name a directory")
        raise click.BadParameter(problem.format(name=save.name), param_hint="'--save'")
    return save


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


REF = _Ref("REF")
MODEL = _Model("NAME")
DURATION = _Duration("DURATION")
SIZE = _Size("SIZE")
LANGUAGE = _Language("TAG")
JSON = _Json("JSON")
FILE = _File("FILE")
MEDIA = _Media("FILE|URL")
DIRECTORY = _SavePlace("DIR")
PLACE = _SavePlace("DIR|FILE")
