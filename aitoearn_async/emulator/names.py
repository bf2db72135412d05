"""The names of the emulator's routes, and of the rows in its logs. Words, and nothing else."""

from __future__ import annotations

from typing import Final

ROUTE_NAMES: Final = frozenset(
    ["image", "video", "videos", "models", "submits", "logs", "drafts", "volcengine", "uploads"]
)
"""The names by which routes are switched off."""
UNPUBLISHED_ROUTES: Final = frozenset(["logs", "drafts", "volcengine", "uploads"])
"""The routes of the vendor's own clients, which no contract page describes."""
OTHER_TYPES: Final = frozenset(
    [
        *("agent", "aideo", "card", "chat", "crawler", "draft-generation"),
        *("style-transfer", "video-edit"),
    ]
)
"""The types of rows in the logs that are no tasks of images or videos."""


def check_route(name: str) -> None:
    """Raise `ValueError` where there is no route of this name."""
    if name not in ROUTE_NAMES:
        raise ValueError(f"no route {name!r}: take one of {', '.join(sorted(ROUTE_NAMES))}")
