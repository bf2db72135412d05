"""The settings that a command goes by, from its options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aitoearn_async import AnyTask, Client

from ..options.groups import BASE_URL, MediaOptions, ServiceOptions, WaitOptions
from ..report import words
from ..report.echo import echo_error
from ..report.text import shown_path


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
            echo_error(words.resume_text(command, refs, self._options()), shown_path)

    def _options(self) -> list[str]:
        """Return the options without which the tasks could not be asked for, or saved, again."""
        service = self.service
        # What comes from the environment will be there again. A proxy may hold a password.
        base_url = service.base_url if service.base_url != os.environ.get(BASE_URL) else None
        named = {"--save": self.directory, "--base-url": base_url, "--ca": service.ca}
        options = [each for name, value in named.items() if value for each in (name, str(value))]
        return [*options, "--private-media"] if self.media.private_media else options
