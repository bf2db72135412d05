"""The settings of a command: what it does with each task, and what it writes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aitoearn_async import AnyTask, Client

from ..options.groups import MediaOptions, ServiceOptions, WaitOptions
from ..report import words
from ..report.echo import echo_error


@dataclass(frozen=True)
class Settings:
    """The settings of a command: what it does with each task, and what it writes of it."""

    limits: WaitOptions
    media: MediaOptions
    service: ServiceOptions
    directory: Path | None
    """The directory to save in; None if nothing is to be saved."""

    async def save(self, client: Client, task: AnyTask) -> list[Path]:
        """Save the files of a task; return none if nothing is to be saved."""
        if self.directory is None:
            return []
        return await client.download(
            task,
            self.directory,
            timeout=self.limits.save_timeout,
            max_bytes=self.media.max_bytes,
        )

    def tell_how_to_go_on(self, command: str, refs: list[Any]) -> None:
        """Write the command that goes on with these tasks, if there are any."""
        if refs:
            echo_error(words.go_on(command, refs, self.directory, self.service.base_url))
