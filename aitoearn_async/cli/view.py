"""What is shown: standings and tasks in, lines, JSON and renderables out.

All of it is pure: no clock, no stream, no terminal. Whatever came from the service passes
through `shown` first, since its words go to a terminal that obeys escape sequences.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aitoearn_async import (
    AiToEarnError,
    AnyTask,
    DownloadError,
    ImageTask,
    Model,
    ServiceUnreachableError,
    TaskRef,
    TaskState,
    VideoTask,
    WaitTimeoutError,
)

from .standing import Exit, Standing

_STYLES = {
    Exit.SUCCEEDED: "green",
    Exit.FAILED: "red",
    Exit.GAVE_UP: "yellow",
    Exit.SERVICE: "red",
    Exit.NOT_SAVED: "yellow",
}
_ENDS = {
    Exit.SUCCEEDED: "succeeded",
    Exit.FAILED: "failed",
    Exit.GAVE_UP: "given up",
    Exit.SERVICE: "refused",
    Exit.NOT_SAVED: "not saved",
}
_MOST_OF_A_PROMPT = 200

NOTHING_LEFT = "all tasks had ended"


def shown(text: str) -> str:
    """Text of the service's on one line, with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def duration(seconds: float) -> str:
    """`4.1 s`, `2:05`, `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(counts: Mapping[str, int]) -> str:
    """`3 InProgress, 2 HTTP 502`."""
    return ", ".join(f"{times} {shown(what)}" for what, times in counts.items())


# A wait, in a line.


def line(standing: Standing) -> str | None:
    """A change of status as one line; None if there is no status to speak of."""
    if standing.task is None:
        return None
    word = f"{standing.ref} {shown(standing.task.status)}"
    if not standing.task.done:
        return None if standing.ended else word
    polls = "1 poll" if standing.polls == 1 else f"{standing.polls} polls"
    made = " ".join(kept(standing))
    return f"{word} after {duration(standing.elapsed)}, {polls}{': ' * bool(made)}{made}"


def outcome_json(standing: Standing) -> bytes:
    """An outcome as one line of JSON."""
    task, error = standing.task, standing.error
    return msgspec.json.encode(
        {
            "ref": str(standing.ref),
            "state": task.state.value if task else None,
            "status": task.status if task else None,
            "polls": standing.polls,
            "elapsed": round(standing.elapsed, 3),
            "task": task,
            "error": error and {"type": type(error).__name__, "message": str(error)},
            "paths": [str(path) for path in standing.paths],
        }
    )


def complaint(ref: TaskRef[AnyTask], error: AiToEarnError) -> str:
    """What went wrong with a task, beginning with its name."""
    message = str(error)
    return message if message.startswith(f"{ref} ") else f"{ref}: {message}"


def left(standings: Sequence[Standing]) -> str:
    """What an interrupted wait leaves behind."""
    running = [str(standing.ref) for standing in standings if not standing.ended]
    if not running:
        return f"interrupted; {NOTHING_LEFT}"
    return f"interrupted; not known to have ended: {' '.join(running)}"


# Waits, on a terminal.


def frame(standings: Sequence[Standing], room: int) -> RenderableType:
    """One frame of the live view.

    Args:
        standings: All waits.
        room: How many rows fit. Where they do not, those that have not ended come first.
    """
    shown_first = standings
    if len(standings) > room:
        shown_first = sorted(standings, key=lambda standing: standing.ended)[:room]
    table = _table("task", "~status", ">polls", ">time")
    for standing in shown_first:
        table.add_row(str(standing.ref), status(standing), *_effort(standing))
    parts: list[RenderableType] = [table]
    if hidden := len(standings) - len(shown_first):
        parts.append(Text(f"and {hidden} more", style="dim"))
    return Group(*parts, "", summary(ends_of(standings), len(standings)))


def status(standing: Standing) -> Text:
    """What the last poll said, in a few words, and on one line however narrow it gets."""
    words, style = _status(standing)
    return Text(words, style, no_wrap=True, overflow="ellipsis")


def _status(standing: Standing) -> tuple[str, str]:
    if standing.ended:
        return _end(standing), _STYLES[standing.exit]
    if standing.saving:
        return "saving", ""
    if standing.trouble:
        return f"{shown(standing.trouble)}, trying again", "yellow"
    if standing.task is None:
        return "asking", "dim"
    return shown(standing.task.status), ""


def _end(standing: Standing) -> str:
    if isinstance(standing.error, WaitTimeoutError):
        return "given up: out of time"
    if isinstance(standing.error, ServiceUnreachableError):
        return "given up: no good answer"
    if isinstance(standing.error, DownloadError):
        return f"not saved: {shown(standing.error.message)}"
    if standing.task is None or not standing.task.done:
        return shown(str(standing.error))
    reason = shown(standing.task.failure or "") if standing.error else ""
    return f"{shown(standing.task.status)}{': ' * bool(reason)}{reason}"


def ends_of(standings: Iterable[Standing]) -> Counter[Exit]:
    """How many have ended, and how."""
    return Counter(standing.exit for standing in standings if standing.ended)


def summary(ends: Counter[Exit], total: int) -> Text:
    """How many of all have ended, and how, in a line."""
    text = Text(f"{ends.total():,} of {total:,} ended")
    for exit, word in _ENDS.items():
        if ends[exit]:
            text.append(" · ", style="dim")
            text.append(f"{ends[exit]:,} {word}", style=_STYLES[exit])
    return text


def account(standings: Sequence[Standing], met: Sequence[str]) -> Table:
    """The last word on a set of waits.

    Args:
        standings: How they ended.
        met: What each of them met before that.
    """
    table = _table("kind", "id", "ended", ">polls", ">time", "~met on the way")
    for standing, words in zip(standings, met, strict=True):
        word = standing.task.status if standing.task else _ENDS[standing.exit]
        ended = Text(shown(word), style=_STYLES[standing.exit])
        ref = standing.ref
        table.add_row(ref.kind, ref.id, ended, *_effort(standing), Text(words))
    return table


def _effort(standing: Standing) -> tuple[str, str]:
    return str(standing.polls), duration(standing.elapsed)


def _table(*headings: str) -> Table:
    """A table without lines. A heading with `>` is that of numbers; `~` gives way first."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(
            heading.lstrip(">~"),
            justify="right" if heading[0] == ">" else "left",
            no_wrap=heading[0] != "~",
            overflow="ellipsis",
        )
    return table


# One task.


def card(task: AnyTask) -> Text:
    """A task in a few lines, for people."""
    style = {TaskState.SUCCEEDED: "green", TaskState.FAILED: "red"}.get(task.state, "")
    text = Text.assemble((str(task.ref), "bold"), "  ", (shown(task.status), style))
    for label, value in facts(task):
        text.append(f"\n  {label:<9} ", style="dim")
        text.append(shown(value))
    return text


def facts(task: AnyTask) -> list[tuple[str, str]]:
    """What there is to say about a task, with a label each."""
    rows = [("result", made) for made in results(task)]
    rows.append(("reason", task.failure or "" if task.state is TaskState.FAILED else ""))
    rows += _image(task) if isinstance(task, ImageTask) else _video(task)
    return [(label, value) for label, value in rows if value]


def results(task: AnyTask) -> list[str]:
    """What the task has made: addresses, as far as it has any."""
    if isinstance(task, VideoTask):
        return [shown(task.video_url)] if task.video_url else []
    made = [image.url or _inline(image.b64_json) for image in task.images or ()]
    return [shown(where) for where in made if where]


def kept(standing: Standing) -> list[str]:
    """Where what it has made is now: files, or else addresses."""
    if standing.paths or standing.task is None:
        return [shown(str(path)) for path in standing.paths]
    return results(standing.task)


def made(standing: Standing) -> str:
    """What a task has made, after its name."""
    return " ".join([str(standing.ref), *kept(standing)])


def row(task: VideoTask) -> str:
    """A task of a list in a line."""
    about = (task.model or "", _moment(task.submitted_at), _text(task.input and task.input.prompt))
    return "  ".join([str(task.ref), *filter(None, map(shown, (task.status, *about)))])


def offer(kind: str, model: Model) -> str:
    """What a model accepts, in a line."""
    lists = [
        (name, getattr(model, name, None) or ())
        for name in ("modes", "sizes", "qualities", "styles", "resolutions", "aspect_ratios")
    ]
    lists.append(("seconds", [f"{each:g}" for each in getattr(model, "durations", None) or ()]))
    said = [f"{name.replace('_', ' ')} {', '.join(words)}" for name, words in lists if words]
    if (most := getattr(model, "max_input_images", None)) is not None:
        said.append(f"images {most} at most")
    return shown(f"{kind}  {model.name}  {'; '.join(said)}")


def _inline(data: str | None) -> str:
    return f"base64, {len(data):,} characters (see get --json)" if data else ""


def _image(task: ImageTask) -> list[tuple[str, str]]:
    asked = task.request or {}
    return [
        ("model", _text(asked.get("model"))),
        ("prompt", _text(asked.get("prompt"))),
        ("submitted", _moment(task.created_at)),
        ("took", "" if task.duration_ms is None else duration(task.duration_ms / 1000)),
        ("points", "" if task.points is None else f"{task.points:g}"),
    ]


def _video(task: VideoTask) -> list[tuple[str, str]]:
    took = _between(task.started_at, task.finished_at)
    return [
        ("cover", task.cover_url or ""),
        ("model", task.model or ""),
        ("prompt", _text(task.input.prompt if task.input else None)),
        ("submitted", _moment(task.submitted_at)),
        ("took", "" if took is None else duration(took)),
    ]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return text if len(text) <= _MOST_OF_A_PROMPT else f"{text[:_MOST_OF_A_PROMPT]}…"


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
