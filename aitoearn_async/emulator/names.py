"""The names of the emulator's routes, and of the rows in its logs. Words, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

PUBLISHED_ROUTES: Final = frozenset(["image", "video", "videos", "models", "submits"])
"""The routes that a contract page describes; the others are those of the vendor's own clients."""
ROUTE_NAMES: Final = PUBLISHED_ROUTES | {"logs", "drafts", "volcengine", "uploads"}
"""The names by which routes are switched off."""
OtherType = Literal[
    "agent", "aideo", "card", "chat", "crawler", "draft-generation", "style-transfer", "video-edit"
]
"""The types of rows in the logs that are no tasks of images or videos."""


def check_name(what: str, name: str, known: Collection[str]) -> None:
    """Raise `ValueError` where there is no route, dialect or the like of this name."""
    if name not in known:
        raise ValueError(f"no {what} {name!r}: take one of {', '.join(sorted(known))}")
