"""The program and its commands, in the order in which people meet them.

A command's options are read here, its work is imported when it is run: help is quick.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import click

from aitoearn_async import __version__

from .. import PROGRAM
from ..language import VARIABLE, can_write, language_of, speaking, tr
from ..options import types
from ..options.groups import KEY
from ..report.echo import echo_error, flush, prepare_streams, report_unusable_file
from ..report.exit_status import ExitStatus
from . import fleet, look, make, play, wait
from .group import Group, all_of

_EPILOG = """\
The API key is read from the environment variable AITOEARN_API_KEY, and from nowhere else: an
option would show it to everyone who lists processes. Proxies are read from HTTPS_PROXY,
HTTP_PROXY and NO_PROXY, or given with --proxy.

\b
Examples:
  aitoearn-async demo
  aitoearn-async generate image --model gpt-image-2 "a cat on a roof" --save .
  aitoearn-async wait --file refs.txt --out outcomes.jsonl
  eval "$(aitoearn-async completion bash)"

\b
Exit status:
  0    every task succeeded
  1    a task failed
  2    the command was not understood, there is no key, or a file cannot be used
  3    given up: out of time, or no good answer for too long
  4    the service refused, or cannot be reached or understood
  5    a submit was sent, and it is not known whether it made a task
  6    a task succeeded, but its files could not be saved
  130  interrupted
If there are several, the highest up to 6 counts."""


_KEY_OPTIONS = frozenset({"--api-key", "--apikey", "--key", "--token"})
"""Options that people try; a list of processes would show the key."""


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)
@click.version_option(
    __version__, prog_name=PROGRAM, message="%(prog)s %(version)s", help="Print the version."
)
def app() -> None:
    """Make images and videos with AiToEarn, look at its tasks, and wait for them."""


for _command in (
    *(play.demo, make.generate, make.edit, wait.wait, wait.download),
    *(look.get, look.videos, look.models, fleet.fleet, play.emulator, play.completion),
):
    app.add_command(_command)


for _command in all_of(app):
    # The options of those that ask the service have one, which is for its messages too. A group
    # reads no variable: that is for the command, whose own option goes before it.
    if not any(each.name == "language" for each in _command.params):
        _command.params.append(
            click.Option(
                ["--language"],
                type=types.LANGUAGE,
                envvar=None if isinstance(_command, click.Group) else VARIABLE,
                expose_value=False,
                help="The language of these texts: en or zh.",
            )
        )


def run() -> None:
    """Run the command line, and exit with its status."""
    if importlib.util.find_spec("rich") is None:  # imported where it is needed, after a submit
        raise ModuleNotFoundError(name="rich")
    prepare_streams()
    language = language_of(sys.argv[1:], os.environ)
    if not all(can_write(stream, language) for stream in (sys.stdout, sys.stderr)):
        language = "en"
    try:
        with speaking(language):
            program: click.Group = app
            if language != "en":
                from .translated import translated

                program = translated(app)
            status = _run(program)
    finally:
        flush()
    raise SystemExit(status)


def _run(program: click.Group) -> int:
    try:
        return int(program.main(prog_name=PROGRAM, standalone_mode=False) or 0)
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        echo_error(tr("interrupted"))
        return ExitStatus.INTERRUPTED
    except OSError as error:
        return report_unusable_file(error)


def _show(error: click.ClickException) -> None:
    if isinstance(error, click.NoSuchOption) and error.option_name in _KEY_OPTIONS:
        hint = tr("The API key is read from {variable}, and from nowhere else.")
        # Of click 8.2 it is a sentence without its stop.
        stop = "" if error.message.endswith((".", "。")) else "."
        text = f"{error.message}{stop} {hint.format(variable=KEY)}"
        error = click.UsageError(text, error.ctx)
    try:
        error.show()
    except OSError:
        flush()
