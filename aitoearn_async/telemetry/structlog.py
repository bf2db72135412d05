"""structlog: one event for each beginning, change, trouble and end."""

from __future__ import annotations

import sys
from typing import Any

import structlog

from .observer import Observer
from .operations import NO_FAILURE, BreakerChange, Download, Operation, Poll, Submit, Wait


class Structlog(Observer):
    """Logs what a client does, with structlog.

        client = Client(telemetry=Structlog())

    Beginnings and changes of status are told at the level `debug`, ends at `info`, trouble and
    bad ends at `warning`. Prompts and addresses of files are not told.

    Args:
        logger: Any logger of structlog's. Default: `structlog.get_logger("aitoearn_async")`, or
            one to standard error as long as nobody has configured structlog.
    """

    def __init__(self, logger: Any = None) -> None:
        self._given = logger

    @property
    def _logger(self) -> Any:
        logger = (_default() if self._given is None else self._given).bind()
        # The methods of an asynchronous logger would have to be awaited.
        return logger.sync_bl if isinstance(logger, structlog.stdlib.AsyncBoundLogger) else logger

    def began(self, operation: Operation) -> None:
        event = f"aitoearn.{_name(operation)}.began"
        self._logger.debug(event, **_subject(operation))

    def polled(self, wait: Wait, poll: Poll) -> None:
        if poll.error is not None:
            label = getattr(poll.error, "label", type(poll.error).__name__)
            if label != wait.trouble:
                self._logger.warning("aitoearn.poll.trouble", ref=str(wait.ref), error=label)
        elif poll.status != wait.status:
            self._logger.debug(
                "aitoearn.task.status_changed",
                ref=str(wait.ref),
                status=poll.status,
                before=wait.status,
            )

    def ended(self, operation: Operation) -> None:
        facts = _subject(operation)
        facts |= {"outcome": operation.outcome, "seconds": round(operation.seconds or 0.0, 3)}
        if operation.error is not None:
            facts["error"] = type(operation.error).__qualname__
        if isinstance(operation, Wait):
            facts |= {"polls": operation.polls, "noticed_after": operation.noticed_after}
        elif isinstance(operation, Download):
            facts["files"] = len(operation.paths)
        is_good = operation.outcome in NO_FAILURE
        event = f"aitoearn.{_name(operation)}.ended"
        log = self._logger.info if is_good else self._logger.warning
        log(event, **facts)

    def breaker_changed(self, change: BreakerChange) -> None:
        if change.before is not None and change.after is not None:
            log = self._logger.info if change.after == "closed" else self._logger.warning
            log(
                "aitoearn.breaker.changed",
                address=change.address,
                before=change.before,
                after=change.after,
            )


def _default() -> Any:
    if structlog.is_configured():
        return structlog.get_logger("aitoearn_async")
    # structlog's own default is standard output, which has the results of a program.
    return structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


def _name(operation: Operation) -> str:
    return type(operation).__name__.lower()


def _subject(operation: Operation) -> dict[str, Any]:
    if isinstance(operation, Submit):
        ref = None if operation.ref is None else str(operation.ref)
        return {"model": operation.request.model, "ref": ref}
    assert isinstance(operation, Wait | Download)
    return {"ref": str(operation.ref)}
