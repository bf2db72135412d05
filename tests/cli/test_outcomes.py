"""What a command says and exits with, for everything that can become of a task."""

from __future__ import annotations

import io
import json
import re

import msgspec
import pytest

from aitoearn_async import ImageTask, VideoTask
from aitoearn_async.emulator import Fault

from .conftest import Invoke, Service

NOBODY = "image:66f0c1d2e3a4b5c6d7e8f901"


def test_get_shows_a_task(service: Service, invoke: Invoke) -> None:
    """A task is shown in a few lines, its result first, and whole."""
    url = "https://media.example/" + "long/" * 60
    ref = service.do(service.emulator.add_image, "success", images=[url])
    result = invoke("get", str(ref))
    assert result.status == 0
    assert result.lines[:2] == [f"{ref}  succeeded", f"  result    {url}"]
    assert "  prompt    a cat" in result.lines
    assert not result.err


def test_get_shows_a_running_video(service: Service, invoke: Invoke) -> None:
    """A task that still runs has been fetched: that is a success."""
    ref = service.do(service.emulator.add_video, "InProgress")
    result = invoke("get", str(ref))
    assert (result.status, result.lines[0]) == (0, f"{ref}  running")


def test_get_shows_what_a_video_took(service: Service, invoke: Invoke) -> None:
    """The time a video took is worked out, unless its ends are the wrong way round."""
    ends = [("2026-05-01T10:01:05Z", True), ("2026-05-01T09:59:00Z", False)]
    for finished, makes_sense in ends:
        fields = {"startedAt": "2026-05-01T10:00:00Z", "finishedAt": finished}
        ref = service.do(service.emulator.add_video, "SUCCESS", fields=fields)
        assert ("  took      1:05" in invoke("get", str(ref)).lines) is makes_sense


def test_get_says_that_an_image_is_inline(service: Service, invoke: Invoke) -> None:
    """An image that came as base64 is not poured over the terminal."""
    ref = service.do(service.emulator.add_image, "success", images=[{"b64_json": "iVBO" * 500}])
    assert "base64, 2,000 characters (see get --json)" in invoke("get", str(ref)).out


def test_get_of_an_image_that_is_not_there(service: Service, invoke: Invoke) -> None:
    """A success without an address and without base64 has no result to show."""
    ref = service.do(service.emulator.add_image, "success", images=[{}])
    result = invoke("get", str(ref))
    assert (result.status, result.lines[0]) == (0, f"{ref}  succeeded")
    assert "result" not in result.out


def test_get_json_is_the_task(service: Service, invoke: Invoke) -> None:
    """`get --json` is one line from which the task can be had again."""
    ref = service.do(service.emulator.add_video, "SUCCESS")
    result = invoke("get", str(ref), "--json")
    (line,) = result.lines
    task = msgspec.json.decode(line, type=VideoTask)
    assert (task.ref, task.status, result.status) == (ref, "SUCCESS", 0)


def test_get_tells_all_points(service: Service, invoke: Invoke) -> None:
    """They are not rounded, however many they are."""
    ref = service.do(service.emulator.add_image, "success", fields={"points": 1_234_567.5})
    assert "  points    1234567.5" in invoke("get", str(ref)).lines


def test_get_of_a_failed_task(service: Service, invoke: Invoke) -> None:
    """A failed task is shown with its reason, and makes 1."""
    ref = service.do(service.emulator.add_image, "failed", error_message="No cats today.")
    result = invoke("get", str(ref))
    assert result.status == 1
    assert "  reason    No cats today." in result.lines


@pytest.mark.parametrize("command", ["get", "wait"])
def test_the_service_says_no(service: Service, invoke: Invoke, command: str) -> None:
    """A refusal makes 4, and stderr says of which task."""
    result = invoke(command, NOBODY)
    assert (result.status, result.out) == (4, "")
    assert result.err.startswith(f"{NOBODY}: ")
    assert "code 404" in result.err


def test_wait_in_a_pipe(service: Service, invoke: Invoke) -> None:
    """In a pipe there is a line for each change, and the last one brings the result."""
    ref = service.do(service.emulator.add_image, ("generating", 0.5), "success", images=["u:1"])
    result = invoke("wait", str(ref))
    assert (result.status, result.err) == (0, "")
    assert result.lines[0] == f"{ref} generating"
    assert re.fullmatch(rf"{ref} success after \d\.\d s, \d polls?: u:1", result.lines[1])
    assert len(result.lines) == 2


def test_wait_asks_once_for_what_is_named_twice(service: Service, invoke: Invoke) -> None:
    """A ref that is given twice is one wait."""
    ref = service.do(service.emulator.add_image, "success")
    assert len(invoke("wait", str(ref), str(ref)).lines) == 1
    assert len(service.emulator.requests) == 1


def test_wait_for_a_failed_task(service: Service, invoke: Invoke) -> None:
    """A failed task makes 1: the change goes to stdout, the reason to stderr."""
    ref = service.do(service.emulator.add_video, "FAILURE", error_message="No cats today.")
    result = invoke("wait", str(ref))
    assert result.status == 1
    assert result.out.startswith(f"{ref} FAILURE after ")
    assert result.err == f"{ref} failed: No cats today.\n"


def test_out_of_time(virtual: Service, invoke: Invoke) -> None:
    """A task that had not ended in time makes 3."""
    ref = virtual.do(virtual.emulator.add_video, "InProgress")
    result = invoke("wait", str(ref), "--timeout", "0.2s")
    assert (result.status, result.out) == (3, f"{ref} InProgress\n")
    assert "had not ended after 0.2 s" in result.err


def test_out_of_patience(service: Service, invoke: Invoke) -> None:
    """A service that gives no good answer makes 3."""
    ref = service.do(service.emulator.add_video, "InProgress")
    service.do(service.emulator.fault, Fault(status=502), times=None)
    result = invoke("wait", str(ref), "--patience", "0.2")
    assert (result.status, result.out) == (3, "")
    assert "gave no good answer" in result.err


def test_a_wrong_key(virtual: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key the service does not know makes 4, as soon as it has said so twice."""
    monkeypatch.setenv("AITOEARN_API_KEY", "not-the-key")
    ref = virtual.do(virtual.emulator.add_image, "success")
    assert invoke("wait", str(ref)).status == 4
    assert len(virtual.emulator.requests) == 2


def test_the_most_serious_outcome_counts(virtual: Service, invoke: Invoke) -> None:
    """Of several outcomes a refusal comes before a wait given up, and that before a failure."""
    add = virtual.emulator
    fine = str(virtual.do(add.add_image, "success"))
    failed = str(virtual.do(add.add_image, "failed"))
    slow = str(virtual.do(add.add_image, "generating"))
    options = ("--timeout", "0.2")
    assert invoke("wait", fine, failed, *options).status == 1
    assert invoke("wait", failed, slow, fine, *options).status == 3
    assert invoke("wait", NOBODY, slow, failed, *options).status == 4


def test_json_has_a_line_for_each_outcome(virtual: Service, invoke: Invoke) -> None:
    """With `--json` stdout has one object for each task and nothing else."""
    fine = virtual.do(virtual.emulator.add_image, ("generating", 0.3), "success")
    failed = virtual.do(virtual.emulator.add_image, "failed", error_message="No.")
    slow = virtual.do(virtual.emulator.add_video, "InProgress")
    refs = [str(fine), str(failed), str(slow), NOBODY]
    result = invoke("wait", "--json", "--timeout", "1.2", *refs)
    by_ref = {outcome["ref"]: outcome for outcome in map(json.loads, result.lines)}
    assert sorted(by_ref) == sorted(refs)
    assert [by_ref[ref]["state"] for ref in refs] == ["succeeded", "failed", "running", None]
    assert [by_ref[ref]["status"] for ref in refs] == ["success", "failed", "InProgress", None]
    kinds = [(by_ref[ref]["error"] or {}).get("type") for ref in refs]
    assert kinds == [None, "TaskFailedError", "WaitTimeoutError", "TaskNotFoundError"]
    assert msgspec.convert(by_ref[str(fine)]["task"], ImageTask).ref == fine
    assert 1.1 < by_ref[str(slow)]["elapsed"] < 1.4
    assert by_ref[str(failed)]["polls"] == 1
    assert by_ref[str(failed)]["error"]["message"].endswith("failed: No.")


def test_nothing_of_the_services_is_obeyed(service: Service, invoke: Invoke) -> None:
    """Escape sequences and line breaks in the service's words do not reach the terminal."""
    evil = "no\x1b]0;owned\x07\nimage:x success"
    ref = service.do(service.emulator.add_image, "failed", error_message=evil)
    for tty in (False, True):
        result = invoke("wait", str(ref), tty=tty)
        assert "owned" in result.err
        assert "\x1b]0" not in result.out + result.err
        assert "\x07" not in result.out + result.err
        assert result.err.count("\n") == 1


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_at_the_end_of_time(service: Service, invoke: Invoke, moment: str) -> None:
    """A date that there is not in UTC is shown as it came."""
    fields = {"createdAt": moment, "submittedAt": moment}
    image = service.do(service.emulator.add_image, fields=fields)
    video = service.do(service.emulator.add_video, fields=fields)
    for ref in (image, video):
        result = invoke("get", str(ref))
        assert result.status == 0
        assert moment[5:10] in result.out
    assert moment[5:10] in invoke("videos").out


def test_an_encoding_that_lacks_characters(service: Service, invoke: Invoke) -> None:
    """Where the locale cannot write a character there is a mark, and no error."""
    ref = service.do(service.emulator.add_image, "success", request={"prompt": "猫 cat"})
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert invoke("get", str(ref), out=out).status == 0
    out.seek(0)
    assert "  prompt    ? cat\n" in out.read()


def test_a_prompt_is_cut(service: Service, invoke: Invoke) -> None:
    """A very long prompt is shown from its beginning."""
    ref = service.do(service.emulator.add_image, "success", request={"prompt": "猫" * 900})
    assert f"  prompt    {'猫' * 200}…" in invoke("get", str(ref)).lines
