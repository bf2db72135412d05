"""Every code block of the documentation is run, or says in its page why not.

A page is run from top to bottom in one namespace, as a reader does who pastes it into
`python -m asyncio`: nothing is in it from the start, and `await` works outside of functions.
The environment is that of a reader who has pasted what `aitoearn-async emulator` prints. One
thing is different: the loop's time is virtual.
"""

from __future__ import annotations

import ast
import asyncio
import codeop
import contextlib
import importlib
import inspect
import io
import logging
import re
import shutil
import socket
import sys
import tomllib
import warnings
from collections.abc import Coroutine
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator, VirtualTimeLoop

from . import shell
from .pages import ROOT, Block, blocks, pages

# What a page of tests imports first is taken back after it. `OpenTelemetry` is kept by its package,
# and knows no span of a second `opentelemetry.trace`; and older ones bring a package that changes
# for all of Python how metadata is found: without it, none is found at all.
importlib.import_module("aitoearn_async.telemetry.otel")

_SHOWN_ONLY = {"ini", "json", "text", "yaml"}
"""Languages in which there is nothing to run. Claims made in them have tests of their own."""

_NOT_YET = dict.fromkeys(["aiogram", "fastapi", "main", "nonebot"], (3, 15))
"""Packages that cannot be installed since that Python, and `main`, which is an app of FastAPI.
What needs one is compiled, and not run.
"""

_BESIDE = {"bot-china.md": "bot.md"}
"""Pages that tell the reader to save the files of another page first."""

_FILES = Path(__file__).with_name("files")
"""Files that the reader has."""

_AUTO_MODE = 'asyncio_mode = "auto"'
"""What a page says if its tests need it, here or on a page that it points to."""

_CONFIGURATION = """\
[tool.pytest.ini_options]
asyncio_default_fixture_loop_scope = "function"
"""

_WITHOUT = [f"-pno:{plugin}" for plugin in ("anyio", "cacheprovider", "platformdirs", "valkey")]
"""Plugins that no page needs: each run would import their packages anew."""

_PAGES = [page for page in pages() if list(blocks(page))]


# The page of a hundred commands, each a process: those of tests/cli/ are faster. And the one whose
# framework takes three seconds to import: its recipe for another one is tested always.
_SLOW = {name: [pytest.mark.slow] for name in ("bot.md", "command-line.md")}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=_SLOW.get(page.name, ())) for page in _PAGES],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_page(page: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    says_so = _AUTO_MODE in page.read_text(encoding="utf-8")
    pytester.makepyprojecttoml(_CONFIGURATION + _AUTO_MODE * says_so)
    with _Reader(pytester, monkeypatch) as reader:
        if page.name in _BESIDE:
            reader.save(page.with_name(_BESIDE[page.name]))
        for block in blocks(page):
            try:
                reader.read(block)
            except Exception as exc:
                exc.add_note(f"in {block.where}")
                raise


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_hides_no_code(page: Path) -> None:
    comments = re.findall(r"<!--(.*?)-->", page.read_text(encoding="utf-8"), re.DOTALL)
    assert [comment for comment in comments if "\n" in comment] == []


class _Reader:
    """Somebody who types a page into a computer, block by block."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.monkeypatch = monkeypatch
        self.printed: str | None = None

    def __enter__(self) -> _Reader:
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.service = self._run(_started())
        self.monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", "1")
        self.monkeypatch.setenv("AITOEARN_API_KEY", self.service.api_key)
        self.monkeypatch.setenv("AITOEARN_BASE_URL", self.service.url)
        self.monkeypatch.setattr(asyncio, "run", self._run)
        self.monkeypatch.setattr(socket, "getaddrinfo", _no_internet)
        self.monkeypatch.syspath_prepend(str(self.pytester.path))
        shutil.copytree(_FILES, self.pytester.path, dirs_exist_ok=True)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.level = logging.getLogger("aitoearn_async").level
        return self

    def __exit__(self, *_: object) -> None:
        for left in [*self.names.values(), self.service]:
            if isinstance(left, Client | Emulator):  # as the end of the reader's process does
                self._run(left.aclose())
        self.runner.close()
        logging.getLogger("aitoearn_async").setLevel(self.level)  # a page may have set it
        for file in self.pytester.path.glob("*.py"):
            sys.modules.pop(file.stem, None)

    def _run(self, main: Coroutine[Any, Any, Any], **_: Any) -> Any:
        """In place of `asyncio.run`: on the loop of the emulator, which goes on after it."""
        return self.runner.run(main)

    def save(self, page: Path) -> None:
        """Save the files of a page, and run none."""
        for block in blocks(page):
            self._write(block)

    def read(self, block: Block) -> None:
        if block.prints:
            self._compare(block)
            return
        if block.not_run is not None:
            assert block.not_run, "say why it is not run"
        if block.language == "sh":
            shell.run(block.code, self.pytester.path, run_it=block.not_run is None)
        elif block.not_run is not None or _needs_what_is_not_there(block.code):
            compile(block.code, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif block.language == "python":
            self._python(block)
        elif block.language == "toml":
            tomllib.loads(block.code)
            self._write(block)
        else:
            assert block.language in _SHOWN_ONLY, f"a block in {block.language!r}: not run by us"

    def _compare(self, block: Block) -> None:
        assert self.printed is not None, "there is no Python block before it"
        pattern = ".*?".join(re.escape(part) for part in block.code.strip().split("..."))
        said = self.printed.strip()
        assert re.fullmatch(pattern, said, re.DOTALL), f"it really says:\n{said}"

    def _python(self, block: Block) -> None:
        if block.title is None:
            _paste(block)
        if block.title is not None:
            self._write(block)
            if Path(block.title).name.startswith("test_"):
                self._pytest(block)
                return
        names = self.names if block.title is None else {"__name__": Path(block.title).stem}
        # Line breaks in front, so that a traceback names the line of the page.
        code = compile(
            "\n" * (block.line - 1) + block.code,
            str(block.page),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        with contextlib.redirect_stdout(io.StringIO()) as out:
            if "asyncio.run(" in block.code:
                exec(code, names)
            else:
                self._run(_in_the_loop(code, names))
        self.printed = out.getvalue()

    def _write(self, block: Block) -> None:
        if block.title is not None:
            file = self.pytester.path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.code, encoding="utf-8")

    def _pytest(self, block: Block) -> None:
        functions = [node for node in ast.walk(ast.parse(block.code)) if _is_test(node)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # until its own configuration is read
            result = self.pytester.runpytest_inprocess(*_WITHOUT, str(block.title))
        passed = result.parseoutcomes()
        assert functions, "a test file without a test"
        assert set(passed) == {"passed"}, result.stdout.str()
        assert passed["passed"] >= len(functions)


def _paste(block: Block) -> None:
    """Give a block to an interpreter line by line, as a terminal does with what is pasted.

    Raises:
        SyntaxError: A statement ends too early, at an empty line in it, or where the next begins.
    """
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    typed: list[str] = []
    for line in [*block.code.splitlines(), ""]:
        if typed or line.strip():
            typed.append(line)
            if compiler("\n".join(typed), block.where, "single") is not None:
                typed = []
    assert not typed, f"this statement has no end: {typed}"


def _is_test(node: ast.AST) -> bool:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, functions) and node.name.startswith("test_")


def _needs_what_is_not_there(code: str) -> bool:
    missing = [name for name, since in _NOT_YET.items() if sys.version_info >= since]
    return any(re.search(rf"^(from|import) {name}\b", code, re.MULTILINE) for name in missing)


async def _in_the_loop(code: CodeType, names: dict[str, Any]) -> None:
    """As in `python -m asyncio`: a loop is running, and `await` works anywhere."""
    coroutine = eval(code, names)
    if code.co_flags & inspect.CO_COROUTINE:
        await coroutine


def _no_internet(host: str, *_: Any, **__: Any) -> None:
    raise OSError(f"a page of the documentation wants to talk to {host}")


async def _started() -> Emulator:
    service = Emulator()
    await service.start()
    return service
