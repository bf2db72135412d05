"""The commands that need no account: `demo`, `emulator`, `completion`."""

from __future__ import annotations

from typing import Any

import click

from ..options import types
from ..report.echo import echo
from ..report.exit_status import ExitStatus


@click.command(epilog="\b\nExample:\n  aitoearn-async demo --save demo")
@click.option(
    "--save", type=types.DIRECTORY, help="Put the files there; else among temporary files."
)
def demo(**values: Any) -> ExitStatus:
    """Run a demo of a few seconds, without an account.

    It starts an emulator of the service, submits images and videos to it, watches them, and
    saves them. Nothing leaves this machine.
    """
    from ..run import demo as demo_run

    return demo_run.demo(**values)


@click.command(epilog="\b\nExample:\n  aitoearn-async emulator --port 8080")
@click.option(
    "--port", metavar="N", type=types.WholeIn(0, 65535), default=0, help="0: a free port."
)
@click.option(
    "--dialect",
    type=click.Choice(["observed", "published"]),
    default="observed",
    help="Answer as real servers do, or as the published contract says.",
)
def emulator(**values: Any) -> ExitStatus:
    """Run an emulator of the service on this machine, until Ctrl-C.

    It has a few tasks to try things on. A shell can read what it prints.
    """
    from ..run import demo as demo_run

    return demo_run.emulator(**values)


@click.command(epilog='\b\nExample, for ~/.bashrc:\n  eval "$(aitoearn-async completion bash)"')
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell: bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    program = ctx.find_root()
    kind = get_completion_class(shell)
    assert kind is not None
    name = program.info_name or ""
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    echo(kind(program.command, {}, name, variable).source())
