"""Logging that the environment asks for: `AITOEARN_LOG`. Without it nothing is set up."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

logger: logging.Logger = logging.getLogger("aitoearn_async")


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at that moment: a view on a terminal takes its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


# There is one, which a logger takes once, also from several threads.
_handler = _StandardError()
_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))


def log_as_asked() -> None:
    """Set the level that `AITOEARN_LOG` names, and log to standard error if nobody else does.

    Raises:
        ValueError: It names no level.
    """
    word = os.environ.get("AITOEARN_LOG", "").strip()
    if not word:
        return
    level = logging.getLevelNamesMapping().get(word.upper())
    if level is None:
        raise ValueError(
            f"AITOEARN_LOG={word!r:.60}: set it to debug, info, warning or error, or not at all"
        )
    logger.setLevel(level)
    if not logger.hasHandlers():
        logger.addHandler(_handler)
