"""The commands that make and find things: what they send, print and exit with."""

from __future__ import annotations

import functools
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async.emulator import Fault

from .conftest import Invoke, Service, killing

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
IMAGE = ["generate", "image", "--model", "gpt-image-2", "a cat"]
VIDEO = ["generate", "video", "--model", "sora-2", "a cat"]


def sent(service: Service) -> dict[str, Any]:
    """The body of the submit."""
    (post,) = (each for each in service.emulator.requests if each.route == "submits")
    body: dict[str, Any] = json.loads(post.body)
    return body


@pytest.fixture(autouse=True)
def quick(service: Service) -> None:
    service.do(service.emulator.script, "image", "success")
    service.do(service.emulator.script, "video", "SUCCESS")


def test_generate_image(service: Service, invoke: Invoke) -> None:
    options = ["--n", "2", "--size", "1024x1024", "--quality", "high", "--format", "url"]
    result = invoke(*IMAGE, *options)
    (ref,) = service.emulator.created
    assert (result.status, result.err) == (0, f"submitted {ref}\n")
    assert result.lines[-1].startswith(f"{ref} success after ")
    assert f"{service.emulator.media_url(ref, 2)}" in result.out
    assert sent(service) == {
        "model": "gpt-image-2",
        "prompt": "a cat",
        "n": 2,
        "size": "1024x1024",
        "quality": "high",
        "response_format": "url",
    }


def test_generate_video(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    result = invoke(
        *("generate", "video", "--model", "veo-3.1", "a cat"),
        *("--image", str(path), "--duration", "4", "--resolution", "720p", "--ratio", "16:9"),
        *("--reference", "https://x/y.png", "--seed", "7"),
        *("--mode", "image2video", "--check"),
    )
    assert result.status == 0
    assert "SUCCESS after" in result.out
    body = sent(service)
    assert body.pop("image").startswith("data:image/png;base64,")
    assert body == {
        "model": "veo-3.1",
        "prompt": "a cat",
        "duration": 4,
        "resolution": "720p",
        "ratio": "16:9",
        "images": ["https://x/y.png"],
        "seed": 7,
        "mode": "image2video",
    }


def test_edit_image(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    result = invoke(
        *("edit", "image", "--model", "gpt-image-2", "--image", str(path)),
        *("--image", "https://x/y.png", "--mask", str(path), "bluer", "--json"),
    )
    outcome = json.loads(result.out)
    assert (result.status, outcome["state"]) == (0, "succeeded")
    body = sent(service)
    assert [text[:14] for text in body["image"]] == ["data:image/png", "https://x/y.pn"]
    assert body["mask"] == body["image"][0]


@pytest.mark.parametrize("command", [IMAGE, VIDEO])
def test_fields_that_are_newer(service: Service, invoke: Invoke, command: list[str]) -> None:
    """A field that the service has and this program does not know is passed on as it is."""
    assert invoke(*command, "--extra", '{"background": "transparent"}').status == 0
    assert sent(service)["background"] == "transparent"


def test_no_wait(service: Service, invoke: Invoke) -> None:
    plain, as_json = invoke(*IMAGE, "--no-wait"), invoke(*IMAGE, "--no-wait", "--json")
    first, second = service.emulator.created
    assert (plain.status, plain.out, plain.err) == (0, f"{first}\n", "")
    assert json.loads(as_json.out) == {"ref": str(second), "state": "running"}


def test_without_a_wait_there_is_nothing_to_save(
    service: Service, invoke: Invoke, tmp_path: Path
) -> None:
    """It is said before anything is paid for."""
    result = invoke(*IMAGE, "--no-wait", "--save", str(tmp_path))
    assert result.status == 2
    assert "see the command `download`" in result.err
    assert service.emulator.created == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it takes a full disk")
@pytest.mark.parametrize("json_", [(), ("--json",)])
def test_a_name_that_cannot_be_printed_is_told_on_stderr(
    service: Service, invoke: Invoke, json_: tuple[str, ...]
) -> None:
    """It is paid for, and named nowhere else."""
    with open("/dev/full", "w") as full:
        result = invoke(*IMAGE, "--no-wait", *json_, out=full)
    (ref,) = service.emulator.created
    assert result.status == 2
    assert f"submitted {ref}" in result.err


def test_a_list_of_models_that_is_late_holds_up_no_submit(virtual: Service, invoke: Invoke) -> None:
    """Unless the check was asked for; then it is waited for."""
    late = Fault(delay=1.7)
    virtual.do(lambda: virtual.emulator.fault(late, times=None, route="models"))
    result = invoke(*IMAGE, "--no-wait")
    assert result.status == 0
    assert "is not compared with the list of models: it did not come within 1.5 s" in result.err
    result = invoke(*IMAGE, "--no-wait", "--check")
    assert "is not compared" not in result.err


PRICED = {
    "code": 0,
    "data": [{"name": "gpt-image-2", "pricing": "3", "sizes": [], "qualities": [], "styles": []}],
}


def test_the_price_is_told_before_it_is_spent(service: Service, invoke: Invoke) -> None:
    """Once, on stderr; with `--at-most` what may cost more is not submitted."""
    body, json_type = json.dumps(PRICED), {"Content-Type": "application/json"}
    fault = Fault(status=200, body=body, headers=json_type)
    service.do(functools.partial(service.emulator.fault, fault, times=None, route="models"))
    result = invoke(*IMAGE, "--n", "2", "--at-most", "6")
    (ref,) = service.emulator.created
    told = "this costs 6 at most, by the service's list\n"
    assert (result.status, result.err) == (0, f"{told}submitted {ref}\n")
    for options in ([], ["--no-check"]):
        dear = invoke(*IMAGE, "--n", "2", "--at-most", "5.5", *options)
        assert dear.status == 2
        assert dear.err.endswith("--at-most 5.5: this may cost 6. Nothing was sent\n")
    assert len(service.emulator.created) == 1
    assert "--at-most -1.0: give a finite number" in invoke(*IMAGE, "--at-most", "-1").err


def test_how_it_can_end(service: Service, invoke: Invoke) -> None:
    service.do(service.emulator.script, "image", "failed")
    assert invoke(*IMAGE).status == 1
    service.do(service.emulator.script, "image", ("generating", 60.0), "success")
    late = invoke(*IMAGE, "--timeout", "0.2")
    assert late.status == 3
    assert str(service.emulator.created[-1]) in late.err
    refused = invoke("generate", "video", "--model", "none", "--no-check", "x")
    assert (refused.status, "12300" in refused.err) == (4, True)


@pytest.mark.parametrize("code", [401, 404])
def test_the_receipt_is_believed_first(virtual: Service, invoke: Invoke, code: int) -> None:
    virtual.do(virtual.emulator.script, "image", "success")
    virtual.do(virtual.emulator.fault, Fault(delay=0.001))
    virtual.do(virtual.emulator.fault, Fault(code=code))
    assert invoke(*IMAGE, "--no-check").status == 0
    assert [request.method for request in virtual.emulator.requests] == ["POST", "GET", "GET"]


@pytest.mark.parametrize(
    ("command", "look"),
    [(VIDEO, "`aitoearn-async videos`"), (IMAGE, "`client.list_images()` in Python")],
)
def test_an_uncertain_submit(
    service: Service, invoke: Invoke, command: list[str], look: str
) -> None:
    """Where the service's logs cannot be read either, nothing tells what became of it."""
    service.do(service.emulator.fault, Fault(reset=True, creates=True))
    no_logs = functools.partial(service.emulator.fault, times=None, route="logs")
    service.do(no_logs, Fault(code=404))
    result = invoke(*command, "--no-check")
    assert (result.status, result.out) == (5, "")
    assert "may have made a task" in result.err
    assert f"Look for it with {look} before" in result.err
    assert len(service.emulator.created) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--n", "0"], "--n 0: give a whole number from 1 to 10"),
        (["--timeout", "soon"], "is not a duration"),
        (["--format", "png"], "--format"),
        (["--size", "1x1"], "--size '1x1': gpt-image-2 takes 1024x1024"),
    ],
)
def test_what_is_refused_here(service: Service, invoke: Invoke, more: list[str], said: str) -> None:
    result = invoke(*IMAGE, *more)
    assert result.status == 2
    assert said in " ".join(result.err.replace("│", " ").split())
    assert service.emulator.created == []


def test_files_that_cannot_be_used(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>")
    for name, said in (("none.png", "No such file"), ("page.png", "not an image")):
        result = invoke(
            *("edit", "image", "--model", "m", "--image", str(tmp_path / name), "bluer"),
            "--no-check",
        )
        assert (result.status, said in result.err) == (2, True)
    assert service.emulator.requests == []


@pytest.mark.parametrize(
    "command",
    [
        "edit image --model m --image https://x/y.png bluer --mask",
        "edit image --model m bluer --image",
        "generate video --model m rain --last-image",
        "generate video --model m rain --reference",
    ],
)
def test_no_picture_is_not_left_out(service: Service, invoke: Invoke, command: str) -> None:
    """One whose name is empty, as of a variable that is not set, is not paid for without it."""
    result = invoke(*command.split(), "")
    assert (result.status, "it is empty" in result.err) == (2, True)
    assert service.emulator.requests == []


def test_videos(service: Service, invoke: Invoke) -> None:
    assert invoke("videos").lines == []
    refs = [service.do(service.emulator.add_video, "SUCCESS") for _ in range(30)]
    lines = invoke("videos").lines
    assert [line.split()[0] for line in lines] == [str(ref) for ref in refs[:9:-1]]
    assert lines[0].endswith("a cat")
    assert len(invoke("videos", "--limit", "0", "--page-size", "7").lines) == 30
    rows = [json.loads(line) for line in invoke("videos", "--json", "--limit", "3").lines]
    assert [each["id"] for each in rows] == [ref.id for ref in refs[:26:-1]]
    service.do(service.emulator.spoil_row, refs[28])
    result = invoke("videos", "--limit", "3")
    assert (result.status, len(result.lines)) == (4, 3)
    assert result.err.startswith("task 2 of the list cannot be shown: ")
    assert len(result.err.splitlines()) == 1


def test_videos_of_a_service_that_says_no(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITOEARN_API_KEY", "wrong")
    assert invoke("videos").status == 4


def test_models(service: Service, invoke: Invoke) -> None:
    result = invoke("models")
    assert result.status == 0
    assert [line.split()[:2] for line in result.lines] == [
        ["image", "gpt-image-2"],
        ["image", "doubao-seedream-4-5"],
        ["edit", "gpt-image-2"],
        ["edit", "doubao-seedream-4-5"],
        ["video", "sora-2"],
        ["video", "doubao-seedance-2-0"],
        ["video", "wan2.6-i2v"],
        ["video", "grok-imagine-video"],
        ["video", "veo-3.1"],
    ]
    assert "modes text2video, image2video; resolutions 720p; " in result.out
    assert "seconds 4, 8, 12; images 1 at most" in result.out
    (first, _) = map(json.loads, invoke("models", "edit", "--json").lines)
    assert (first["for"], first["model"]["maxInputImages"]) == ("edit", 16)
    service.do(functools.partial(service.emulator.fault, Fault(code=403), times=2))
    assert invoke("models", "video").status == 4


def test_interrupted(service: Service, invoke: Invoke) -> None:
    """Ctrl-C names the task that is waited for."""
    service.do(service.emulator.script, "video", ("InProgress", 60.0), "SUCCESS")
    with killing(signal.SIGINT, lambda: len(service.emulator.requests) > 1):
        result = invoke(*VIDEO, "--no-check")
    (ref,) = service.emulator.created
    assert result.status == 130
    assert f"not known to have ended: {ref}" in result.err


def test_files_are_uploaded_where_that_is_asked_for(
    service: Service, invoke: Invoke, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    edit = ("edit", "image", "--model", "gpt-image-2", "--image", str(path), "bluer", "--no-wait")
    refused = invoke(*edit, "--upload", "always")
    assert (refused.status, "internal network" in refused.err) == (4, True)
    assert service.emulator.created == []
    assert invoke(*edit, "--upload", "always", "--private-media").status == 0
    assert sent(service)["image"].startswith(service.emulator.storage_url)


def test_a_key_that_is_refused_ends_it_before_the_submit(service: Service, invoke: Invoke) -> None:
    """The list of models is asked for first, and a refused key says that of the submit too."""
    service.do(service.emulator.fault, Fault(status=401), times=None)
    result = invoke(*IMAGE)
    assert (result.status, service.emulator.created) == (4, [])
    assert "check AITOEARN_API_KEY" in result.err
    assert not [each for each in service.emulator.requests if each.route == "submits"]
