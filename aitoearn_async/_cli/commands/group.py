"""A group of commands: in the order they were added, and with a hint where a name is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..language import tr


class Group(click.Group):
    """A group that lists its commands in order, and names them to whom names none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = self._meant(args[0], is_program=ctx.parent is None)
            if not meant:
                raise
            hint = tr("There are: {commands}.").format(commands=", ".join(meant))
            raise click.UsageError(f"{error.format_message()} {hint}", error.ctx) from None

    def _meant(self, word: str, *, is_program: bool) -> list[str]:
        """Return what can be written: this word below another command, or all that is here."""
        groups = [each for each in self.commands.values() if isinstance(each, click.Group)]
        below = [f"{group.name} {word}" for group in groups if word in group.commands]
        here = [] if is_program else [f"{self.name} {name}" for name in self.commands]
        return below or here


def all_of(command: click.Command) -> Iterator[click.Command]:
    """Yield a command, and those below it."""
    yield command
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        yield from all_of(each)
