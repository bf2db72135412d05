"""A service that has learned words this version has not."""

from __future__ import annotations

import logging

import pytest

from aitoearn_async import AnyRef, ImageTask, TaskState, VideoTask, wait_backoff
from tests.support.raw_server import (
    KEY,
    REF,
    RawServer,
    envelope,
    good,
    http,
    say,
    task,
)

from .harness import Row, Trial
from .shared import VIDEO

ROW = Row(
    11,
    "A status, a field or a kind of value that nobody has heard of",
    "The word is kept as it was sent and means that the task still runs; each new word is worth "
    "one warning. Unknown fields are left out of it, whatever they hold.",
)

WORDS = ["Dreaming", "PARTIALLY_COMPLETED", "处理中", "success!", "0", "", " ", "not failed"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("ref", [REF, VIDEO], ids=["image", "video"])
async def test_unknown_words_are_kept_and_end_nothing(
    trial: Trial, caplog: pytest.LogCaptureFixture, ref: AnyRef
) -> None:
    """A wait shows each as it was sent and goes on; each is told once, however often it comes."""
    scripts = [good(word) for word in WORDS for _ in range(3)]
    async with (
        RawServer(*scripts, *scripts, good()) as server,
        server.client(wait=wait_backoff(1)) as client,
    ):
        waiter = client.wait_for(ref)
        seen = [(image.status, image.state) async for image in waiter]
        trial.book([ref], [await waiter], status="success")
    assert seen[:-1] == [(word, TaskState.RUNNING) for word in [*WORDS, *WORDS]]
    assert seen[-1] == ("success", TaskState.SUCCEEDED)
    trial.wire(server, exactly=6 * len(WORDS) + 1)
    told = warnings(caplog)
    assert len(told) == len(WORDS)
    for word, message in zip(WORDS, told, strict=True):
        assert repr(word) in message
    trial.figure("warnings a word", len(told) / len(WORDS), 1)


async def test_known_words_are_not_told(trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    """So that a warning means something."""
    words = "generating", "InProgress", "SUBMITTED", "queued", "UNKNOWN", "FAILURE"
    async with RawServer(*map(good, words)) as server, server.client() as client:
        for word in words:
            await trial.ends(client.get, REF, status=word)
    trial.wire(server, exactly=len(words))
    assert warnings(caplog) == []


@pytest.mark.slow
async def test_a_thousand_words(trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    """Hostile ones fill neither the log nor a terminal, and do not bring the key into it."""
    words = [f"{n}\n\x1b[31m{KEY}" + "w" * 5_000 for n in range(1000)]
    bodies = [http(envelope(task(word))) for word in words]
    async with RawServer(*map(say, bodies)) as server, server.client() as client:
        for word in words:
            await trial.ends(client.get, REF, status=word.replace(KEY, "<API key>"))
    trial.wire(server, exactly=len(words))
    told = warnings(caplog)
    assert max(map(len, told)) < 200
    assert all(message.isprintable() for message in told)
    trial.figure("warnings for a thousand words", len(told), 100)


MORE: dict[str, object] = {
    "x": None,
    "state": "failed",
    "done": True,
    "Status": "failed",
    "type": "AudioTask",
    "deep": {"a": [{"b": [1, None, {"c": 1.5}]}]},
    "big": 10**30,
    "": "",
    "ref": "image:0",
    "__class__": "object",
}


@pytest.mark.parametrize("ref", [REF, VIDEO], ids=["image", "video"])
async def test_unknown_fields(trial: Trial, ref: AnyRef) -> None:
    """On every level they change nothing: the task is the one that comes without them."""
    part = {"url": "https://cdn.test/1.png"}
    asked = {"prompt": "p"}
    fields = {"images": [part]} if ref is REF else {"input": asked, "error": {}}
    more = {"images": [part | MORE]} if ref is REF else {"input": asked | MORE, "error": MORE}
    plain = envelope(task(kind=ref.kind) | fields)
    rich = envelope(task(kind=ref.kind) | more | MORE)
    rich = rich.replace(b'{"data"', b'{"timestamp": 5, "success": false, "data"', 1)
    async with RawServer(say(http(plain)), say(http(rich))) as server, server.client() as client:
        (one,) = await trial.ends(client.get, ref, status="success")
        (other,) = await trial.ends(client.get, ref, status="success")
    assert one == other
    assert isinstance(one, ImageTask | VideoTask)
    trial.wire(server, exactly=2)
