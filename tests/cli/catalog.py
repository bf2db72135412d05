"""The messages of the command line and their catalog.

After a change of a text: `python -m tests.cli.catalog`. It adds to the catalog what is new, takes
off what is gone, and makes the `.mo`. Then translate what it names, and run it again.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as CatalogMessage

from aitoearn_async import _cli
from aitoearn_async._cli.commands import app
from aitoearn_async._cli.commands.group import all_of
from aitoearn_async._cli.commands.translated import messages

ROOM = Path(_cli.__file__).parent
PO = ROOM / "locale" / "zh_CN" / "LC_MESSAGES" / "aitoearn_async.po"
MO = PO.with_suffix(".mo")
_HEADER = """\
# The texts of the command line in Chinese.
# Made by `python -m tests.cli.catalog`, apart from the translations."""

# What click says itself, at any version from 8.2 on, where this program can bring it about.
_CLICK = (
    *("Usage:", "Options", "Commands", "Aborted!", "Missing command.", "default: {default}"),
    *("Error: {message}", "Try '{command} {option}' for help.", "Show this message and exit."),
    *("Invalid value: {message}", "Invalid value for {param_hint}: {message}", "required"),
    *("Missing argument", "Missing option", "Missing parameter", "Missing {param_type}"),
    *("Choose from:\n\t{choices}", "No such command {name!r}.", "No such option {name!r}."),
    *("No such option: {name}", "Option {name!r} does not take a value.", "env var: {var}"),
    *("{value} is not in the range {range}.", "{value!r} is not a valid {number_type}."),
    ("Did you mean {possibility}?", "(Possible options: {possibilities})"),
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
)
_CHANGING = tuple(
    f'"{name}' for name in ("POT-", "Report-", "PO-Rev", "Generated", "Last-T", "Language-T")
)
_DAY = datetime(2026, 1, 1, tzinfo=UTC)
Message = str | tuple[str, ...]


def all_messages() -> dict[str, Message]:
    """All messages there are, by what they are looked up with."""
    found: list[Message] = [*_CLICK, *_of_help(app), *_in_code()]
    return {each if isinstance(each, str) else each[0]: each for each in found}


def _of_help(group: click.Group) -> Iterator[str]:
    for command in all_of(group):
        yield command.options_metavar or ""
        if isinstance(command, click.Group):
            yield command.subcommand_metavar
        yield from messages(command.help)
        yield from messages(command.epilog)
        for option in command.params:
            if isinstance(option, click.Option):
                yield from messages(option.help)


def _in_code() -> Iterator[str]:
    for path in sorted(ROOM.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name("tr" | "later"), [ast.Constant(str(text))]):
                    yield text


def strings_of(message: CatalogMessage) -> Sequence[str]:
    """The translations of a message: several, where it has a plural."""
    return [message.string] if isinstance(message.string, str) else [*(message.string or [])]


def catalog() -> Catalog:
    with PO.open("rb") as file:
        found = pofile.read_po(file, locale="zh_CN", domain="aitoearn_async")
    found.creation_date = found.revision_date = _DAY
    return found


def compiled(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    mofile.write_mo(file, catalog)
    return file.getvalue()


def update() -> list[str]:
    """Bring the files up to date, and return what is not translated."""
    old = catalog() if PO.exists() else Catalog()
    new = Catalog(locale="zh_CN", domain="aitoearn_async", project="aitoearn-async", fuzzy=False)
    new.header_comment = _HEADER
    for key, message in sorted(all_messages().items()):
        known = old.get(key)
        new.add(message, known.string if known else "")
    file = io.BytesIO()
    pofile.write_po(file, new, width=0, omit_header=False)
    kept = [
        line
        for line in file.getvalue().decode().splitlines()
        # What changes with the day and with Babel says nothing.
        if not line.startswith(_CHANGING)
    ]
    PO.write_text("\n".join(kept).rstrip() + "\n", encoding="utf-8")
    MO.write_bytes(compiled(catalog()))
    return [str(each.id) for each in catalog() if not all(strings_of(each))]


if __name__ == "__main__":
    for _text in update():
        print("not translated:", _text)  # noqa: T201 - a program
