"""Tasks and waits in words and in JSON: data in, text out.

Pure: no clock, no stream, no terminal. All text of the service's goes through `shown`, since a
terminal would obey the escape sequences in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from aitoearn_async import (
    CHINA,
    INTERNATIONAL,
    AnyTask,
    AuthenticationError,
    ConnectionFailedError,
    InvalidRequestError,
    Model,
    Outcome,
    TaskNotFoundError,
    TaskRef,
    TaskState,
    VideoTask,
)

from .. import PROGRAM
from ..language import later, tr
from ..options.names import in_option_names
from .exit_status import ExitStatus
from .snapshot import WaitSnapshot
from .text import number, padded, shown, shown_path

NOTHING_LEFT = later("all tasks had ended")

_ENDS = {
    ExitStatus.SUCCEEDED: later("{:,} succeeded"),
    ExitStatus.FAILED: later("{:,} failed"),
    ExitStatus.GAVE_UP: later("{:,} given up"),
    ExitStatus.SERVICE: later("{:,} refused"),
    ExitStatus.NOT_SAVED: later("{:,} not saved"),
}
_STATES = {
    TaskState.RUNNING: later("running"),
    TaskState.SUCCEEDED: later("succeeded"),
    TaskState.FAILED: later("failed"),
}
_LISTS = {
    "modes": later("modes"),
    "sizes": later("sizes"),
    "qualities": later("qualities"),
    "styles": later("styles"),
    "resolutions": later("resolutions"),
    "aspect_ratios": later("aspect ratios"),
}
"""Field of a model -> its name in the text."""
_UNREACHABLE = frozenset({"no DNS answer", "no connection"})
_ID_ERRORS = InvalidRequestError, TaskNotFoundError
"""The service's refusals of a mistyped id, among others."""
_LONGEST_PROMPT = 200
_AN_ID = re.compile(r"[0-9a-f]{24}", re.ASCII | re.IGNORECASE)


def duration(seconds: float) -> str:
    """Return `4.1 s`, `2:05`, `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counts_text(counts: Mapping[str, int]) -> str:
    """Return `3 InProgress, 2 HTTP 502`."""
    return ", ".join(f"{times} {shown(what)}" for what, times in counts.items())


def state_word(task: AnyTask) -> str:
    """Return how a task stands, in the words of the command line."""
    return tr(_STATES[task.state])


# A wait, in a line.


def change_line(outcome: Outcome[AnyTask]) -> str | None:
    """Return the new status of a task as one line; None if no status is known."""
    task = outcome.task
    if task is None:
        return None
    if not task.done:
        return None if outcome.error else f"{outcome.ref} {shown(task.status)}"
    one, many = tr("1 poll"), tr("{number} polls")
    polls = one if outcome.polls == 1 else many.format(number=outcome.polls)
    text = tr("{ref} {status} after {seconds}, {polls}").format(
        ref=outcome.ref, status=shown(task.status), seconds=duration(outcome.elapsed), polls=polls
    )
    return ": ".join(filter(None, [text, " ".join(result_places(outcome))]))


def uploading(sent: int, size: int | None) -> str:
    """Return how far the files of a submit have got."""
    if size is None or sent >= size:
        return tr("submitting …")
    told = tr("uploading, {sent:.1f} of {size:.1f} MB …")
    return told.format(sent=sent / 1e6, size=size / 1e6)


def result_line(outcome: Outcome[AnyTask]) -> str:
    """Return the ref of a task, and where its results are, as one line."""
    return " ".join([str(outcome.ref), *result_places(outcome)])


def result_places(outcome: Outcome[AnyTask]) -> list[str]:
    """Return where the results of a task are: files, or else addresses."""
    if outcome.paths or outcome.task is None:
        return [shown_path(path) for path in outcome.paths]
    return result_addresses(outcome.task)


def error_line(ref: TaskRef[AnyTask] | None, error: Exception) -> str:
    """Return an error as one line, which begins with the ref if it is about a task."""
    message = reason(error)
    if ref is None:
        return message
    named = message if message.startswith((f"{ref} ", f"{ref}: ")) else f"{ref}: {message}"
    if isinstance(error, _ID_ERRORS) and not _AN_ID.fullmatch(ref.id):
        return tr("{text}. An id has 24 hex digits").format(text=named)
    return named


def reason(error: Exception) -> str:
    """Return an error in the words of the command line."""
    if isinstance(error, OSError) and error.strerror:
        where = shown_path(os.fsdecode(error.filename)) if error.filename else ""
        return ": ".join(filter(None, [where, error.strerror]))
    text = in_option_names(str(error))
    if isinstance(error, AuthenticationError) and INTERNATIONAL in (error.host or ""):
        hint = tr("{text}. A key of aitoearn.cn needs --base-url {china}")
        return hint.format(text=text, china=CHINA)
    if isinstance(error, ConnectionFailedError) and error.label in _UNREACHABLE:
        hint = tr("{text}. Are the address, the network and the proxy (HTTPS_PROXY) right?")
        return hint.format(text=text)
    return text


def count_ends(snapshots: Iterable[WaitSnapshot]) -> Counter[ExitStatus]:
    """Count the ends of waits that are over."""
    return Counter(snapshot.status for snapshot in snapshots if snapshot.ended)


def summary(ends: Counter[ExitStatus], total: int) -> list[tuple[str, ExitStatus | None]]:
    """Return how many of all have ended, and how: phrases, and the end that each is about."""
    counts = [(tr(_ENDS[end]).format(ends[end]), end) for end in _ENDS if ends[end]]
    whole = tr("{ended:,} of {total:,} ended").format(ended=ends.total(), total=total)
    return [(whole, None), *counts]


def summary_line(ends: Counter[ExitStatus], total: int) -> str:
    """Return how many of all have ended, and how, in a line."""
    return " · ".join(words for words, _ in summary(ends, total))


# The end of a command.


def interrupted_text(snapshots: Sequence[WaitSnapshot]) -> str:
    """Return the message about an interrupted wait: which tasks may still run."""
    running = unfinished(snapshots)
    if not running:
        return tr("interrupted; {note}").format(note=tr(NOTHING_LEFT))
    refs = " ".join(map(str, running))
    return tr("interrupted; not known to have ended: {refs}").format(refs=refs)


def unfinished(snapshots: Iterable[WaitSnapshot]) -> list[TaskRef[Any]]:
    """Return the tasks that have not ended."""
    return [snapshot.ref for snapshot in snapshots if not snapshot.ended]


def resume_text(command: str, refs: Iterable[object], options: Iterable[str]) -> str:
    """Return the command that goes on with these tasks."""
    words = [PROGRAM, command, *map(str, refs), *options]
    return tr("go on: {command}").format(command=shlex.join(words))


# One task.


def labelled_facts(task: AnyTask) -> list[tuple[str, str]]:
    """Return the known facts about a task, each with a label of nine columns."""
    if isinstance(task, VideoTask):
        cover, submitted, points = task.cover_url, task.submitted_at, None
        took = _seconds_between(task.started_at, task.finished_at)
    else:
        cover, submitted, points = None, task.created_at, task.points
        took = None if task.duration_ms is None else task.duration_ms / 1000
    rows = [
        *((tr("result"), address) for address in result_addresses(task)),
        (tr("reason"), task.failure if task.state is TaskState.FAILED else None),
        (tr("cover"), cover),
        (tr("model"), _shortened(task.model)),
        (tr("prompt"), _shortened(task.prompt)),
        (tr("submitted"), _moment(submitted)),
        (tr("took"), None if took is None else duration(took)),
        (tr("points"), None if points is None else number(points)),
    ]
    return [(padded(label, 9), shown(value)) for label, value in rows if value]


def result_addresses(task: AnyTask) -> list[str]:
    """Return the addresses of the results of a task, or notes on those that it holds itself."""
    if isinstance(task, VideoTask):
        found = [task.video_url]
    else:
        found = [image.url or _inline_note(image.b64_json) for image in task.images or ()]
    texts = [_inline_note(each) if each.startswith("data:") else each for each in found if each]
    return [shown(text) for text in texts]


def video_row(task: VideoTask) -> tuple[str, ...]:
    """Return a task of a list for a table: ref, status, model, date, prompt."""
    date, prompt = _moment(task.submitted_at)[5:16], shown(_shortened(task.prompt))
    return (str(task.ref), state_word(task), shown(task.model or ""), date, prompt)


def video_line(task: VideoTask) -> str:
    """Return a task of a list in a line, in the service's own words."""
    about = (task.status, task.model or "", _moment(task.submitted_at), _shortened(task.prompt))
    return "  ".join([str(task.ref), *filter(None, map(shown, about))])


def accepted_values(model: Model) -> str:
    """Return the values that a model accepts, and its price where the service tells."""
    lists = [(label, getattr(model, name, None) or ()) for name, label in _LISTS.items()]
    durations = [f"{each:g}" for each in getattr(model, "durations", None) or ()]
    lists.append((later("seconds"), durations))
    parts = [f"{tr(label)} {', '.join(values)}" for label, values in lists if values]
    if (most := getattr(model, "max_input_images", None)) is not None:
        parts.append(tr("images {number} at most").format(number=most))
    parts += [tr("price {price}").format(price=price) for price in _prices(model.pricing)]
    return shown("; ".join(parts))


def _prices(pricing: Any) -> list[str]:
    """Return the prices of a model. The service writes text, or an object for each case."""
    cases = msgspec.convert(pricing if isinstance(pricing, list) else [pricing], list[Any])
    return [price for case in cases if case is not None and (price := _price(case))]


def _price(case: Any) -> str:
    if not isinstance(case, dict):
        return str(case)
    fields = msgspec.convert(case, dict[str, Any])
    known = {name: value for name, value in fields.items() if value not in (None, "")}
    price = [str(known.pop("price"))] if "price" in known else []
    return " ".join([*price, *(f"{name} {value}" for name, value in known.items())])


def _inline_note(data: str | None) -> str:
    if not data:
        return ""
    kind = data.partition(",")[0].removeprefix("data:").removesuffix(";base64")
    name = f"{kind:.40}, " if data.startswith("data:") else ""
    note = tr("{name}base64, {number:,} characters (see get --json)")
    return note.format(name=name, number=len(data))


def _shortened(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _LONGEST_PROMPT else f"{text[:_LONGEST_PROMPT]}…"


def _moment(when: datetime | None) -> str:
    if when is None:
        return ""
    # In UTC it may lie before the first possible day, or after the last.
    with contextlib.suppress(OverflowError):
        when = when.astimezone(UTC)
    return f"{when:%Y-%m-%d %H:%M:%S %Z}"


def _seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    # The service has been seen to finish tasks before it started them.
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()


# JSON, an object a line.


def task_json(task: AnyTask) -> bytes:
    """Return a task as one line of JSON: its ref, its state, and the service's own fields."""
    named = {"ref": str(task.ref), "state": task.state}
    return msgspec.json.encode(named | msgspec.to_builtins(task))
