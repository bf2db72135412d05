"""The language of what people read: English as it is written, or Chinese from a catalog.

A text is looked up where it is used: `tr("...")`. In English nothing is loaded for it. What
programs read has no language: JSON, names of options, exit statuses, the service's own words.

The catalog is `locale/zh_CN/LC_MESSAGES/aitoearn_async.po`; the `.mo` beside it is made of it by
`python -m tests.cli.catalog`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from gettext import NullTranslations

Language = Literal["en", "zh"]
VARIABLE = "AITOEARN_LANGUAGE"
_OPTION = "--language"
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
_GETTEXT = "LANGUAGE"
_DOMAIN = "aitoearn_async"
_FOLDER = Path(__file__).parent / "locale"
_NAME = "zh_CN"

_catalog: NullTranslations | None = None


def tr(text: str) -> str:
    """Return a text in the language of this run."""
    return text if _catalog is None else _catalog.gettext(text)


def later(text: str) -> str:
    """Mark a text that is looked up where it is used: it stays as it is here."""
    return text


def language_of(args: Sequence[str], environ: Mapping[str, str]) -> Language:
    """Return the language that is asked for: by the option, a variable, or else the locale.

    It is read before all else is, so that help and mistakes are in it too.
    """
    names = (VARIABLE, *_LOCALE)
    found = next(filter(None, [_option(args), *map(environ.get, names)]), "en")
    return "zh" if found.lower().startswith("zh") else "en"


def _option(args: Sequence[str]) -> str | None:
    found = None
    for number, arg in enumerate(args):
        if arg == "--":
            break
        name, is_joined, value = arg.partition("=")
        if name == _OPTION:
            found = value if is_joined else next(iter(args[number + 1 :]), None)
    return found


def can_write(stream: TextIO | None, language: Language) -> bool:
    """Return whether a stream can take a language: question marks help nobody."""
    try:
        "中文，。".encode((stream and stream.encoding) or "utf-8")
    except UnicodeEncodeError:
        return language == "en"
    return True


@contextlib.contextmanager
def speaking(language: Language) -> Generator[None]:
    """Translate texts within this block, click's own too."""
    global _catalog
    if language == "en":
        yield
        return
    import gettext

    # click asks for its texts by the functions of the module, which go by this variable.
    before = os.environ.get(_GETTEXT)
    os.environ[_GETTEXT] = _NAME
    gettext.bindtextdomain(_DOMAIN, str(_FOLDER))
    domain = gettext.textdomain()
    gettext.textdomain(_DOMAIN)
    # Imported out of an archive, the package has no folder: English then.
    _catalog = gettext.translation(_DOMAIN, str(_FOLDER), [_NAME], fallback=True)
    try:
        yield
    finally:
        _catalog = None
        gettext.textdomain(domain)
        if before is None:
            del os.environ[_GETTEXT]
        else:
            os.environ[_GETTEXT] = before
