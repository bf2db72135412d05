"""What is refused before anything is sent, and in which words."""

from __future__ import annotations

import pytest

from aitoearn_async import __version__
from aitoearn_async._cli.options.types import DURATION

from .conftest import Invoke, Result, Service


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AITOEARN_API_KEY", "some-key")
    monkeypatch.setenv("AITOEARN_BASE_URL", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("get", "66f0c1d2e3a4b5c6d7e8f901"), "'66f0c1d2e3a4b5c6d7e8f901'"),
        (("get", "audio:1"), "image:ID or video:ID"),
        (("get", "image:a/b"), "'a/b'"),
        (("wait", "image:a", "image:"), "not a task id"),
        (("wait", "image:a", "--timeout", "soon"), "'--timeout': 'soon'"),
        (("wait", "image:a", "--timeout", "-1"), "'--timeout': '-1'"),
        (("wait", "image:a", "--patience", "1h30"), "'--patience': '1h30'"),
        (("wait", "image:a", "--base-url", "ftp://x"), "--base-url does not begin with http://"),
        (("wait", "image:a", "--language", "中文"), "'--language'"),
        (("emulator", "--port", "70000"), "'--port'"),
        (("emulator", "--dialect", "klingon"), "klingon"),
        (("wait",), "REF"),
        (("conquer",), "conquer"),
        (("image", "a cat"), "There are: generate image, edit image."),
        (("generate", "a cat"), "There are: generate image, generate video."),
        (("fleet", "ad"), "There are: fleet add, "),
        (("generate", "image", "a cat"), "'--model'. The command `models` lists them"),
        (("generate", "image", "--model", "m", ""), "PROMPT '': give text"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(invoke: Invoke, args: tuple[str, ...], named: str) -> None:
    """Wrong usage makes 2, and the message names what is wrong."""
    result = invoke(*args)
    assert (result.status, result.out) == (2, "")
    assert named in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("option", "args"),
    [
        ("--api-key", ("--api-key", "k", "models")),
        ("--token", ("get", "image:a", "--token", "k")),
    ],
)
def test_a_key_that_is_given_as_an_option(
    invoke: Invoke, option: str, args: tuple[str, ...]
) -> None:
    """It is said where it belongs. Not all of click's versions quote the option."""
    result = invoke(*args)
    assert (result.status, result.out) == (2, "")
    said = result.err.replace("'", "")
    assert f"{option}. The API key is read from AITOEARN_API_KEY" in said


@pytest.mark.parametrize("key", [None, "", "two words", "line\n"])
def test_no_key_to_use(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    """Without a key that can be sent nothing is, and the message does not repeat it."""
    if key is None:
        monkeypatch.delenv("AITOEARN_API_KEY")
    else:
        monkeypatch.setenv("AITOEARN_API_KEY", key)
    result = invoke("wait", "image:a")
    assert result.status == 2
    assert "key" in result.err.lower()
    assert ("AITOEARN_API_KEY begins or ends with" in result.err) is (key == "line\n")
    assert "key.strip()" not in result.err  # words of Python
    assert ("https://docs.aitoearn.ai/" in result.err) is (not key)
    assert not key or key not in result.err


def test_version(invoke: Invoke) -> None:
    """`--version` is the package's."""
    assert invoke("--version") == Result(0, f"aitoearn-async {__version__}\n", "")


def test_a_readable_key_is_warned_of(invoke: Invoke) -> None:
    """A key that would travel in the clear is worth a plain line on stderr."""
    result = invoke("wait", "image:a", "--base-url", "http://example.com", "--timeout", "0")
    assert result.status == 3
    first = result.err.splitlines()[0]
    assert first.startswith("Warning: http://example.com is plain http")


def test_a_port_that_is_taken(service: Service, invoke: Invoke) -> None:
    """A port that cannot be had makes 2."""
    port = service.emulator.url.rpartition(":")[2]
    result = invoke("emulator", "--port", port)
    assert result.status == 2
    assert result.err.startswith(f"no server on port {port}: ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("45s", 45), ("10m", 600), ("1h30m", 5400), ("1h2m3.5s", 3723.5)],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number of seconds, or has units."""
    assert DURATION.convert(text, None, None) == seconds


def test_no_limit() -> None:
    """`none` is no limit."""
    assert DURATION.convert("none", None, None) is None
