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
from .text import number, shown, shown_path

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
_DENIALS = InvalidRequestError, TaskNotFoundError
"""The errors of an id that cannot be one, among others."""
_LONGEST_PROMPT = 200
_AN_ID = re.compile(r"[0-9a-f]{24}", re.ASCII | re.IGNORECASE)


def duration(seconds: float) -> str:
    """Return `4.1 s`, `2:05`, `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(counts: Mapping[str, int]) -> str:
    """Return `3 InProgress, 2 HTTP 502`."""
    return ", ".join(f"{times} {shown(what)}" for what, times in counts.items())


def state_word(task: AnyTask) -> str:
    """Return how a task stands, in the words of the command line."""
    return tr(_STATES[task.state])


# A wait, in a line.


def line(outcome: Outcome[AnyTask]) -> str | None:
    """Return a change of status as one line; None if there is no status to speak of."""
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
    return ": ".join(filter(None, [text, " ".join(places(outcome))]))


def uploading(sent: int, size: int | None) -> str:
    """Return how far the files of a submit have got."""
    if size is None or sent >= size:
        return tr("submitting …")
    told = tr("uploading, {sent:.1f} of {size:.1f} MB …")
    return told.format(sent=sent / 1e6, size=size / 1e6)


def made(outcome: Outcome[AnyTask]) -> str:
    """Return what a task has made, after its name."""
    return " ".join([str(outcome.ref), *places(outcome)])


def places(outcome: Outcome[AnyTask]) -> list[str]:
    """Return where the results of a task are: files, or else addresses."""
    if outcome.paths or outcome.task is None:
        return [shown_path(path) for path in outcome.paths]
    return results(outcome.task)


def error_line(ref: TaskRef[AnyTask] | None, error: Exception) -> str:
    """Return what went wrong, beginning with the name of the task if it is about one."""
    message = reason(error)
    if ref is None:
        return message
    named = message if message.startswith((f"{ref} ", f"{ref}: ")) else f"{ref}: {message}"
    if isinstance(error, _DENIALS) and not _AN_ID.fullmatch(ref.id):
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


def ends_of(snapshots: Iterable[WaitSnapshot]) -> Counter[ExitStatus]:
    """Return how many have ended, and how."""
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


def left(snapshots: Sequence[WaitSnapshot]) -> str:
    """Return what an interrupted wait leaves behind."""
    running = unfinished(snapshots)
    if not running:
        return tr("interrupted; {note}").format(note=tr(NOTHING_LEFT))
    refs = " ".join(map(str, running))
    return tr("interrupted; not known to have ended: {refs}").format(refs=refs)


def unfinished(snapshots: Iterable[WaitSnapshot]) -> list[TaskRef[Any]]:
    """Return the tasks that have not ended."""
    return [snapshot.ref for snapshot in snapshots if not snapshot.ended]


def go_on(command: str, refs: Iterable[object], options: Iterable[str]) -> str:
    """Return the command that goes on with these tasks."""
    words = [PROGRAM, command, *map(str, refs), *options]
    return tr("go on: {command}").format(command=shlex.join(words))


# One task.


def facts(task: AnyTask) -> list[tuple[str, str]]:
    """Return what there is to say about a task, with a label each."""
    if isinstance(task, VideoTask):
        cover, submitted, points = task.cover_url, task.submitted_at, None
        took = _between(task.started_at, task.finished_at)
    else:
        cover, submitted, points = None, task.created_at, task.points
        took = None if task.duration_ms is None else task.duration_ms / 1000
    rows = [
        *((tr("result"), made) for made in results(task)),
        (tr("reason"), task.failure if task.state is TaskState.FAILED else None),
        (tr("cover"), cover),
        (tr("model"), _text(task.model)),
        (tr("prompt"), _text(task.prompt)),
        (tr("submitted"), _moment(submitted)),
        (tr("took"), None if took is None else duration(took)),
        (tr("points"), None if points is None else number(points)),
    ]
    return [(label, shown(value)) for label, value in rows if value]


def results(task: AnyTask) -> list[str]:
    """Return what a task has made: addresses, as far as it has any."""
    if isinstance(task, VideoTask):
        found = [task.video_url]
    else:
        found = [image.url or _inline(image.b64_json) for image in task.images or ()]
    return [
        shown(_inline(where) if where.startswith("data:") else where) for where in found if where
    ]


def video_row(task: VideoTask) -> tuple[str, ...]:
    """Return a task of a list for a table: ref, status, model, date, prompt."""
    date, prompt = _moment(task.submitted_at)[5:16], shown(_text(task.prompt))
    return (str(task.ref), state_word(task), shown(task.model or ""), date, prompt)


def video_line(task: VideoTask) -> str:
    """Return a task of a list in a line, in the service's own words."""
    about = (task.status, task.model or "", _moment(task.submitted_at), _text(task.prompt))
    return "  ".join([str(task.ref), *filter(None, map(shown, about))])


def accepts(model: Model) -> str:
    """Return what a model accepts, and what it costs where the service says so."""
    lists = [(said, getattr(model, name, None) or ()) for name, said in _LISTS.items()]
    durations = [f"{each:g}" for each in getattr(model, "durations", None) or ()]
    lists.append((later("seconds"), durations))
    said = [f"{tr(name)} {', '.join(words)}" for name, words in lists if words]
    if (most := getattr(model, "max_input_images", None)) is not None:
        said.append(tr("images {number} at most").format(number=most))
    said += [tr("price {price}").format(price=price) for price in _prices(model.pricing)]
    return shown("; ".join(said))


def _prices(pricing: Any) -> list[str]:
    """Return what a model costs: the service writes text, or an object for each case."""
    cases = msgspec.convert(pricing if isinstance(pricing, list) else [pricing], list[Any])
    return [price for case in cases if case is not None and (price := _price(case))]


def _price(case: Any) -> str:
    if not isinstance(case, dict):
        return str(case)
    facts = msgspec.convert(case, dict[str, Any])
    told = {name: value for name, value in facts.items() if value not in (None, "")}
    price = [str(told.pop("price"))] if "price" in told else []
    return " ".join([*price, *(f"{name} {value}" for name, value in told.items())])


def _inline(data: str | None) -> str:
    if not data:
        return ""
    kind = data.partition(",")[0].removeprefix("data:").removesuffix(";base64")
    name = f"{kind:.40}, " if data.startswith("data:") else ""
    note = tr("{name}base64, {number:,} characters (see get --json)")
    return note.format(name=name, number=len(data))


def _text(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _LONGEST_PROMPT else f"{text[:_LONGEST_PROMPT]}…"


def _moment(when: datetime | None) -> str:
    if when is None:
        return ""
    # The first and the last of all days have moments that are on another day in UTC.
    with contextlib.suppress(OverflowError):
        when = when.astimezone(UTC)
    return f"{when:%Y-%m-%d %H:%M:%S %Z}"


def _between(start: datetime | None, end: datetime | None) -> float | None:
    # The service has been seen to finish tasks before it started them.
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()


# JSON, an object a line.


def task_json(task: AnyTask) -> bytes:
    """Return a task as one line of JSON: its ref, its state, and the service's own fields."""
    named = {"ref": str(task.ref), "state": task.state}
    return msgspec.json.encode(named | msgspec.to_builtins(task))
