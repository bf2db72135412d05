"""`get`, `videos`, `models`: ask for something, and show it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from aitoearn_async import AnyRef, AnyTask, Model, SkippedVideo

from ..language import tr
from ..options.groups import ServiceOptions
from ..report import words
from ..report.echo import echo, echo_error, on_terminal, spinner
from ..report.exit_status import ExitStatus
from ..report.snapshot import exit_status_of, failure_of
from .client import client_from

_ROWS_A_TABLE = 100
"""Rows of a long list that are shown together, and so get columns of one width."""


async def get(*, ref: AnyRef, service: ServiceOptions) -> ExitStatus:
    """Ask once how a task stands, and show it."""
    async with client_from(service) as client:
        with spinner(tr("asking …")):
            task: AnyTask = await client.get(ref)
    if service.as_json:
        echo(words.task_json(task))
    else:
        _print_card(task)
    return exit_status_of(failure_of(task))


def _print_card(task: AnyTask) -> None:
    if on_terminal():
        from ..report.live import console
        from ..report.tables import task_card

        console().print(task_card(task), soft_wrap=True)
        return
    echo(f"{task.ref}  {words.state_word(task)}")
    for label, value in words.labelled_facts(task):
        echo(f"  {label} {value}")


async def videos(*, limit: int, page_size: int, service: ServiceOptions) -> ExitStatus:
    """Show the caller's own video tasks, up to `limit`; 0 for all."""

    def skipped(video: SkippedVideo) -> None:
        problem = words.reason(video.error)
        note = tr("task {number} of the list cannot be shown: {reason}")
        echo_error(note.format(number=video.position + 1, reason=problem))

    def show() -> None:
        headings = (tr("task"), tr("status"), tr("model"), tr("submitted"), "<" + tr("prompt"))
        _print_table(headings, rows)
        rows.clear()

    as_table = on_terminal() and not service.as_json
    rows: list[Sequence[str]] = []
    number = 0
    size = min(page_size, limit) if limit else page_size
    async with client_from(service) as client:
        listed = client.list_videos(page_size=size, skipped=skipped)
        try:
            with spinner(tr("asking …")):
                task = await anext(listed, None)
            while task is not None:
                if as_table:
                    rows.append(words.video_row(task))
                else:
                    echo(words.task_json(task) if service.as_json else words.video_line(task))
                if len(rows) == _ROWS_A_TABLE:
                    show()
                number += 1
                task = None if number == limit else await anext(listed, None)
        finally:
            if rows:
                show()
    return ExitStatus.SERVICE if listed.skipped else ExitStatus.SUCCEEDED


async def models(*, kind: str | None, service: ServiceOptions) -> ExitStatus:
    """Show the models of a kind, or of all."""
    client = client_from(service, needs_key=False)
    asks: dict[str, Callable[[], Awaitable[Sequence[Model]]]] = {
        "image": client.image_models,
        "edit": client.edit_models,
        "video": client.video_models,
    }
    found: list[tuple[str, Model]] = []
    try:
        async with client:
            with spinner(tr("asking …")):
                for name in asks if kind is None else [kind]:
                    found += [(name, model) for model in await asks[name]()]
    finally:
        _print_models(found, as_json=service.as_json)
    return ExitStatus.SUCCEEDED


def _print_models(found: Sequence[tuple[str, Model]], *, as_json: bool) -> None:
    if as_json:
        for name, model in found:
            echo(msgspec.json.encode({"for": name, "model": model}))
    elif on_terminal():
        headings = (tr("for"), tr("model"), "~" + tr("accepts"))
        _print_table(headings, [(name, m.name, words.accepted_values(m)) for name, m in found])
    else:
        for name, model in found:
            echo("  ".join(filter(None, [name, model.name, words.accepted_values(model)])))


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from ..report.live import console
    from ..report.tables import text_table

    console().print(text_table(headings, rows))
