"""An outcome as a line of JSON: what comes back is what was written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    ContractError,
    DownloadError,
    ImageRef,
    ImageTask,
    MediaAddressError,
    NotAskedError,
    Outcome,
    RateLimitError,
    ServerError,
    ServiceUnreachableError,
    TaskFailedError,
    TaskNotFoundError,
    VideoRef,
    VideoTask,
    WaitTimeoutError,
)
from aitoearn_async.contract.endpoints import endpoint_of
from tests.contract.samples import SAMPLES
from tests.support.cases import case

REF = ImageRef("66f0c0ffee0123456789abcd")
TASK = ImageTask(log_id=REF.id, status="generating", request={"prompt": "a\ncat"})
FAILED = VideoTask(id="67f0c0ffee0123456789abcd", status="FAILURE")

ERRORS: list[tuple[AiToEarnError, Any]] = [
    (ApiError(12801, "no group", "r-1"), None),
    (AuthenticationError(401, "Unauthorized", "r-2", 401), None),
    (TaskNotFoundError(12302, "任务不存在"), None),
    (RateLimitError(429, "slow down", None, 429, retry_after=3.5), None),
    (ServerError(500, "", transient=False), None),
    (ConnectionFailedError("no certificate", "r-3", label="no connection", transient=False), None),
    (NotAskedError("the service is down"), TASK),
    (ContractError("$.data.status", "r-4"), None),
    (TaskFailedError(FAILED), FAILED),
    (WaitTimeoutError(REF, TASK, 1800.0, 90, {"generating": 88, "HTTP 502": 2}), TASK),
    (ServiceUnreachableError(REF, None, 300.0, 12, {"no connection": 12}), None),
    (DownloadError("HTTP 404 at media.example", TASK, transient=True), TASK),
    (MediaAddressError("an internal network", TASK), TASK),
]


def again(outcome: Outcome[Any]) -> Outcome[Any]:
    line = outcome.to_json()
    assert b"\n" not in line
    assert Outcome.from_json(line.decode()).to_json() == line
    return Outcome.from_json(line)


@pytest.mark.parametrize(("error", "task"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_comes_back_as_what_it_was(error: AiToEarnError, task: Any) -> None:
    """Its type, its words, its facts and its label."""
    ref = FAILED.ref if task is FAILED else REF
    back = again(Outcome(ref=ref, task=task, error=error, polls=3, elapsed=4.25)).error
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back is not None
    assert back.args == error.args
    assert (back.label, back.transient, back.ref) == (error.label, error.transient, error.ref)
    with pytest.raises(type(error)):
        raise back


def sent(name: str) -> Any:
    """The task in a recorded answer; None if there is none."""
    sample = SAMPLES[name]
    answer = endpoint_of(sample.kind("1")).codec.decode(sample.body.encode())
    return getattr(answer, "data", None)


def test_a_task_comes_back_as_what_it_was() -> None:
    """Each task that the service has been seen to send."""
    tasks = {name: task for name in SAMPLES if (task := sent(name)) is not None}
    assert len(tasks) > 50
    for name, task in tasks.items():
        with case(name):
            outcome = Outcome[Any](ref=task.ref, task=task, error=None, polls=1, elapsed=0.5)
            assert again(outcome) == outcome


def test_the_members_are_those_of_a_results_file() -> None:
    """State and status are there to look for; files are paths."""
    outcome = Outcome(
        ref=REF, task=TASK, error=None, polls=2, elapsed=1.23456, paths=(Path("a/b.png"),)
    )
    line = json.loads(outcome.to_json())
    assert list(line) == [
        *("ref", "state", "status", "polls", "elapsed", "task", "error", "paths"),
    ]
    assert (line["state"], line["status"], line["elapsed"]) == ("running", "generating", 1.235)
    assert again(outcome).paths == (Path("a/b.png"),)


def test_a_task_that_never_answered_has_no_state() -> None:
    """Nor a status: nothing is known of it."""
    error = ServiceUnreachableError(REF, None, 300.0, 12, {"no connection": 12})
    line = json.loads(Outcome(ref=REF, task=None, error=error, polls=12, elapsed=300.0).to_json())
    assert [line[name] for name in ("state", "status", "task")] == [None] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="paths are text there")
def test_the_bytes_of_a_path_that_are_no_text_are_written_in_hex() -> None:
    """JSON is UTF-8, and names need not be."""
    path = Path(os.fsdecode(b"a/\xb2.png"))
    line = Outcome(ref=REF, task=TASK, error=None, polls=1, elapsed=0.0, paths=(path,)).to_json()
    assert json.loads(line)["paths"] == [r"a/\xb2.png"]


@pytest.mark.parametrize("name", ["NewError", "datetime", "AnyTask"])
def test_an_error_of_a_later_version_keeps_its_words(name: str) -> None:
    """A type that is not known here, or is none of an error, is an error of the root's type."""
    outcome = Outcome[Any](
        ref=VideoRef("1"), task=None, error=ServerError(500, "x"), polls=1, elapsed=0.0
    )
    line = outcome.to_json().replace(b"ServerError", name.encode())
    error = Outcome.from_json(line).error
    assert type(error) is AiToEarnError
    assert str(error) == "the service failed: x (code 500)"


@pytest.mark.parametrize(
    "error",
    [
        TaskFailedError(FAILED),
        WaitTimeoutError(VideoRef(FAILED.id), FAILED, 1.0, 2, {}),
        DownloadError("HTTP 404", FAILED),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_line_of_an_earlier_version_names_its_task_once(error: AiToEarnError) -> None:
    """The details of its error did not; the error has its ref all the same."""
    ref = VideoRef(FAILED.id)
    outcome = Outcome[Any](ref=ref, task=FAILED, error=error, polls=2, elapsed=1.0)
    line = json.loads(outcome.to_json())
    del line["error"]["details"]["ref"]
    assert Outcome.from_json(json.dumps(line)).error.ref == ref


@pytest.mark.parametrize("line", [b"", b"{}", b'{"ref": "image:1"}', b"[1]", b"\xff"])
def test_what_is_no_outcome_is_refused(line: bytes) -> None:
    """With what is missing."""
    with pytest.raises(ValueError, match="this is no outcome"):
        Outcome.from_json(line)
