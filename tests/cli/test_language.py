"""Texts in Chinese: which language is chosen, that none is missing, and how they fit."""

from __future__ import annotations

import gettext
import io
import os
import re
import string
from collections.abc import Iterator
from typing import Any

import pytest

from aitoearn_async._cli.commands import app, translated
from aitoearn_async._cli.language import can_write, language_of, speaking
from aitoearn_async._cli.report.text import columns
from aitoearn_async.emulator import Fault

from .catalog import MO, all_messages, catalog, compiled, strings_of
from .conftest import Invoke, Service, plain
from .test_options import commands

NOBODY = "image:66f0c1d2e3a4b5c6d7e8f901"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


@pytest.mark.parametrize(
    ("args", "environ", "language"),
    [
        ("", {}, "en"),
        ("", {"LANG": "zh_CN.UTF-8"}, "zh"),
        ("", {"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "de_DE.UTF-8"}, "en"),
        ("", {"LC_MESSAGES": "zh_CN", "LC_ALL": "C.UTF-8"}, "en"),
        ("", {"LC_ALL": "", "LANG": "zh_TW"}, "zh"),
        ("", {"LC_ALL": "C", "AITOEARN_LANGUAGE": "zh"}, "zh"),
        ("", {"LANG": "zh_CN.UTF-8", "AITOEARN_LANGUAGE": "en-US"}, "en"),
        ("get image:a --language zh-CN", {"AITOEARN_LANGUAGE": "en"}, "zh"),
        ("--language=ZH --help", {}, "zh"),
        ("demo --language", {"LANG": "zh_CN"}, "zh"),
        ("--language zh get --language en", {}, "en"),
        ("generate image -- --language zh", {}, "en"),
    ],
)
def test_the_language_is_the_one_that_is_asked_for(
    args: str, environ: dict[str, str], language: str
) -> None:
    """The option, then the variable, then the locale in the order of POSIX."""
    assert language_of(args.split(), environ) == language


def test_every_message_is_in_the_catalog_and_translated() -> None:
    """After a change of a text: `python -m tests.cli.catalog`, and translate what it names."""
    known = {(each.id if isinstance(each.id, str) else each.id[0]): each for each in catalog()}
    known.pop("")
    assert set(known) == set(all_messages())
    for text, message in known.items():
        for translation in strings_of(message):
            assert translation, text
            assert CHINESE.search(translation) or text in ("id",), text


def test_placeholders_agree() -> None:
    """What is filled in has the same name and form, and all of it is there."""
    for message in catalog():
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        for translation in strings_of(message):
            assert _places(translation) in [_places(text) for text in ids], message.id


def _places(text: str) -> list[Any]:
    if text.startswith("write a JSON object") or "JSON 对象，例如" in text:
        return []  # braces of its own; it is not filled in
    return sorted(filter(lambda part: part[1] is not None, _parts(text)), key=str)


def _parts(text: str) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    for _, name, form, conversion in string.Formatter().parse(text):
        yield "", name, form, conversion


def test_the_compiled_catalog_is_that_of_the_text() -> None:
    """The file that is read is made of the one that is edited, with any version of Babel."""
    there, made = (
        gettext.GNUTranslations(io.BytesIO(data)) for data in (MO.read_bytes(), compiled(catalog()))
    )
    assert vars(there)["_catalog"] | {"": ""} == vars(made)["_catalog"] | {"": ""}
    assert there.info()["plural-forms"] == made.info()["plural-forms"]


@pytest.mark.usefixtures("chinese")
def test_all_help_is_in_chinese_and_fits(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than eighty columns, of which a Chinese character takes two."""
    for names in commands():
        shown = invoke(*names, "--help").out
        for line in shown.splitlines():
            assert columns(line) <= 80 or "aitoearn-async " in line, line
            assert not re.search(r"(?<![\w./<|-])(the|and|of|is|are|to) ", line), line
        assert shown.startswith(f"用法: {' '.join(['aitoearn-async', *names])} [选项]")
        assert "显示说明并退出。" in shown


def test_help_in_english_is_the_same_afterwards(invoke: Invoke) -> None:
    """A run in Chinese changes nothing of what comes after it."""
    before = invoke("wait", "-h").out, os.environ.get("LANGUAGE"), gettext.textdomain()
    assert "用法" in invoke("--language", "zh", "--help").out
    after = invoke("wait", "-h").out, os.environ.get("LANGUAGE"), gettext.textdomain()
    assert after == before


@pytest.mark.parametrize(
    ("args", "environ", "asked"),
    [
        (("--language", "zh-CN"), {}, "zh-CN"),
        ((), {"AITOEARN_LANGUAGE": "zh"}, "zh"),
        (("--language", "en"), {"AITOEARN_LANGUAGE": "zh"}, "en"),
        ((), {"LANG": "zh_CN.UTF-8"}, None),
    ],
)
def test_the_service_is_asked_to_speak_the_language_that_was_chosen(
    service: Service,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    environ: dict[str, str],
    asked: str | None,
) -> None:
    """By an option or a variable; not by the locale, which chooses the texts alone."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ref = service.do(service.emulator.add_image, "success")
    assert invoke("get", str(ref), *args).status == 0
    assert service.emulator.requests[0].headers.get("Accept-Language") == asked


def test_a_language_of_gettext_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de")
    with speaking("zh"):
        assert gettext.gettext("Options") == "选项"
    assert os.environ["LANGUAGE"] == "de"


def test_english_costs_nothing(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """No catalog is read, and no command is copied, where nobody reads Chinese."""

    def never(*_: object, **__: object) -> Any:
        raise AssertionError

    monkeypatch.setattr(gettext, "bindtextdomain", never)
    monkeypatch.setattr(translated, "translated", never)
    assert invoke("--help").status == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("wait", "错误：用 REF 指定任务，或者用 --file 指定任务文件。"),
        ("wait image:a --timeout soon", "'--timeout' 的值无效：'soon' 不是时长"),
        ("generate image x", "缺少选项 '--model'"),
        ("generate image --model m a cat", "提示词要加引号"),
        ("get image:a --nonsense", "没有选项"),
        ("nonsense", "没有命令 'nonsense'。"),
        ("models music", "不在这些值之中"),
        ("wait image:a --rate 0", "不在范围"),
        ("wait image:a --rate abc", "'abc' 不是数"),
        ("get image:a --json=1", "不带值"),
        ("get image:a image:b", "多余的参数"),
        ("get", "缺少参数 'REF'"),
        ("wait image:a --ca=", "是空的：请写文件名"),
        ("demo --save out.png", "out.png 是文件名：请写目录"),
    ],
)
@pytest.mark.usefixtures("chinese", "service")
def test_mistakes_are_told_in_chinese(invoke: Invoke, command: str, said: str) -> None:
    """Those that click finds too; the status is the same in every language."""
    result = invoke(*command.split())
    assert (result.status, result.out) == (2, "")
    assert said in result.err


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("tty", [False, True])
def test_a_wait_in_chinese(
    virtual: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tty: bool
) -> None:
    """Tables, lines and complaints; the service's own words stay as they are."""
    monkeypatch.setenv("COLUMNS", "120")
    made = virtual.do(virtual.emulator.add_image, ("generating", 1.0), "success")
    slow = virtual.do(virtual.emulator.add_video, "InProgress")
    virtual.do(virtual.emulator.fault, Fault(status=502), made)
    result = invoke("wait", str(made), str(slow), "--timeout", "4s", tty=tty)
    assert result.status == 3
    assert f"继续：aitoearn-async wait {slow}" in result.err
    text = plain(result.out)
    if tty:
        assert re.search("任务 +状态 +查询 +时间", text)
        assert "运行中" in text
        assert "放弃：超时" in text
        assert "已结束 2 / 2 · 1 个成功 · 1 个放弃" in text
    else:
        assert re.search(rf"^{made} success，用时 .* s，查询 \d+ 次: http", text, re.M)


@pytest.mark.usefixtures("chinese")
def test_a_task_in_chinese(service: Service, invoke: Invoke) -> None:
    """The columns stand one below the other in a pipe and on a terminal."""
    ref = service.do(service.emulator.add_image, "failed", error_message="No cats today.")
    for tty in (False, True):
        lines = plain(invoke("get", str(ref), tty=tty).out).splitlines()
        assert lines[0] == f"{ref}  失败"
        assert "  原因      No cats today." in lines
        assert "  提示词    a cat" in lines


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("command", ["videos", "models video", "demo --save FOLDER"])
def test_other_views_in_chinese(
    virtual: Service, invoke: Invoke, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    virtual.do(virtual.emulator.add_video, "SUCCESS")
    result = invoke(*command.replace("FOLDER", str(tmp_path / "new")).split(), tty=True)
    heads = {
        "videos": "任务 +状态 +模型 +提交时间 +提示词",
        "models video": "用途 +模型 +接受",
        "demo": r"种类 +ID +结局 +查询 +时间 +途中遇到\n(.+\n)+\n已结束 5 / 5 · 4 个成功",
    }
    head = heads[command.partition(" --")[0]]
    assert result.status == 0
    assert re.search(head, "\n".join(line.rstrip() for line in plain(result.out).splitlines()))


@pytest.mark.parametrize(
    "command", ["get REF", "videos", "models", "wait REF NOBODY", "fleet status"]
)
def test_json_has_no_language(
    virtual: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: str, tmp_path: Any
) -> None:
    """What programs read is the same wherever they run."""
    monkeypatch.setenv("AITOEARN_FLEET", f"sqlite:///{tmp_path}/fleet.db")
    invoke("fleet", "add", "image:1")
    ref = virtual.do(virtual.emulator.add_video, "FAILURE")
    args = command.replace("REF", str(ref)).replace("NOBODY", NOBODY).split()
    told = []
    for locale in ("C.UTF-8", "zh_CN.UTF-8"):
        monkeypatch.setenv("LANG", locale)
        out = invoke(*args, "--json").out
        told.append(re.sub(r'"(elapsed|oldest)":[\d.]+|request [\w-]+|request_id":"[^"]+', "", out))
    assert told[0] == told[1]
    assert told[0]


def test_a_language_that_cannot_be_written_is_not_used(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the encoding has no Chinese characters there is English, and not question marks."""
    monkeypatch.setenv("LANG", "zh_CN")
    ascii = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    invoke("--help", out=ascii)
    ascii.seek(0)
    assert ascii.read().startswith("Usage: ")
    assert can_write(None, "zh")
    assert can_write(ascii, "en")


def test_a_long_word_is_not_broken() -> None:
    """A line ends between Chinese characters or at a blank, and begins with no closing mark."""
    text = "把 postgresql://fleet@db/fleet 写在这里，（或者那里）。再来一次"
    assert translated.wrapped(text, 20) == [
        "把",
        "postgresql://fleet@db/fleet",
        "写在这里，（或者那",
        "里）。再来一次",
    ]
    assert "".join(translated.wrapped("一" * 45, 20)) == "一" * 45
    assert app.short_help is None
