"""The house rules: which room imports which, how large things are, what is said of them."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import aitoearn_async
from aitoearn_async import emulator

PACKAGE = Path(aitoearn_async.__file__).parent
NAME = "aitoearn_async"

BESIDE_THE_KEY = {
    "session.address",
    "session.classify",
    "session.clock",
    "session.connection",
    "session.lifetime",
    "session.retry",
}
"""What of `session` is nobody's secret: what can be an address, what exceptions mean, what
connections can be, how long things last, when to try again. Media hosts are met with the same,
and never with the rest."""

# Room -> the rooms it may import, itself aside. A room is a folder, or a file at the top.
MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "contract": {"errors"},
    "errors": {"contract"},
    "session": {"contract", "errors", "_version"},
    "polling": {"contract", "errors"},
    "media": {"contract", "errors", *BESIDE_THE_KEY},
    "poller": {"contract", "errors", "session", "polling"},
    "arguments": {"contract", "polling"},
    "attachments": {"contract"},
    "exchange": {"contract", "errors", "session"},
    "listing": {"contract", "errors"},
    "finder": {"contract", "errors", "exchange", "listing"},
    "submitter": {"attachments", "contract", "errors", "exchange", "finder", "session"},
    "making": {
        *("arguments", "contract", "errors", "finder", "listing", "polling", "submitter"),
    },
    "client": {
        *("arguments", "contract", "exchange", "finder", "making", "submitter"),
        *("errors", "media", "session", "polling", "poller"),
    },
    "__init__": {
        *("_version", "contract", "errors", "session", "polling", "poller", "client", "listing"),
    },
    "cli": set(),
    "emulator": set(),
    "pytest_plugin": set(),
    "__main__": {"cli"},
}
ANNEXES = {"cli", "emulator", "pytest_plugin", "__main__"}
"""Written as a user would: they see the public names and no more."""

PUBLIC = {
    NAME: set(aitoearn_async.__all__),
    f"{NAME}.emulator": set(emulator.__all__),
}

# Package -> where it may be imported, outside of `if TYPE_CHECKING`.
OTHERS: dict[str, set[str]] = {
    "aiohttp": {
        *("session/http.py", "session/connection.py", "session/classify.py"),
        *("media/hosts.py", "emulator"),
    },
    "yarl": {"session/http.py", "session/address.py", "session/trouble.py", "media"},
    "multidict": {"session/http.py", "emulator"},
    "msgspec": {
        *("contract", "polling", "poller.py", "media/disk.py", "emulator", "cli"),
        "session/answer.py",
        *("attachments.py", "exchange.py", "finder.py", "listing.py"),
    },
    "tenacity": {"session/retry.py", "polling/schedule.py", "cli"},
    "typer": {"cli"},
    "rich": {"cli"},
    "pytest": {"pytest_plugin.py"},
    "pytest_asyncio": {"pytest_plugin.py"},
}
NOT_IN_CONTRACT = {"asyncio", "logging", "time", "socket", "os", "random", "ssl", "threading"}


class Import(NamedTuple):
    """One imported thing: `from module import name`, or `import module` with no name."""

    module: str
    name: str | None
    for_types: bool


class Source(NamedTuple):
    """One file of the package."""

    path: str
    module: str
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        return self.path.partition("/")[0].removesuffix(".py")

    @property
    def imports(self) -> list[Import]:
        """All imports, with full module names, wherever in the file they stand."""
        return list(self._imports(self.tree, for_types=False))

    def _imports(self, node: ast.AST, *, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, None, for_types) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                module = self._absolute(child)
                yield from (Import(module, alias.name, for_types) for alias in child.names)
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                yield from self._imports(child, for_types=True)
            else:
                yield from self._imports(child, for_types=for_types)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = [NAME, *self.path.removesuffix(".py").split("/")]
        return ".".join([*here[: -node.level], *([node.module] if node.module else [])])


def sources() -> list[Source]:
    found: list[Source] = []
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE).as_posix()
        module = f"{NAME}.{path.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")
        text = file.read_text(encoding="utf-8")
        found.append(Source(path, module, ast.parse(text), text.count("\n")))
    return found


SOURCES = sources()
each_file = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.path)


def room_of(module: str, name: str | None) -> str | None:
    """The room an import reaches into; None if it is not this package's."""
    package, _, rest = module.partition(".")
    if package != NAME:
        return None
    first = rest.partition(".")[0] or name or ""
    return first if first in MAY_IMPORT else "__init__"


def test_every_room_is_known() -> None:
    """A new room gets a line in the table: what it may import is a decision."""
    assert {source.room for source in SOURCES} == set(MAY_IMPORT)


@each_file
def test_imports_point_one_way(source: Source) -> None:
    """A room imports those below it; contract and errors each other; annexes the front door."""
    for module, name, _ in source.imports:
        room = room_of(module, name)
        if room is None or room == source.room:
            continue
        if source.room in ANNEXES and module in PUBLIC:
            assert name in PUBLIC[module], f"{module}.{name} is not public"
        else:
            reached = {room, module.removeprefix(f"{NAME}.")}
            assert reached & MAY_IMPORT[source.room], f"{source.path} imports {module} {name}"


@each_file
def test_what_is_shared_has_not_met_the_key(source: Source) -> None:
    """What media hosts are met with imports nothing of the room where the key is."""
    if source.module.removeprefix(f"{NAME}.") in BESIDE_THE_KEY:
        for module, name, _ in source.imports:
            shared = module.removeprefix(f"{NAME}.") in BESIDE_THE_KEY
            assert shared or room_of(module, name) != "session", f"{source.path} imports {module}"


@each_file
def test_own_modules_are_named_relatively(source: Source) -> None:
    """The house imports itself relatively, and the annexes the house absolutely, as users do."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            inside = node.module.partition(".")[0] == NAME
            assert not inside or source.room in ANNEXES, f"line {node.lineno}"


@each_file
def test_other_packages_stay_where_they_belong(source: Source) -> None:
    """A package is imported in the room that is there for it, and nowhere else."""
    for module, _, for_types in source.imports:
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names or package == NAME:
            continue
        if for_types and package in {*OTHERS, "_typeshed"}:
            continue
        assert package in OTHERS, f"{package} is no dependency"
        assert source.path in OTHERS[package] or source.room in OTHERS[package], package


@each_file
def test_words_have_no_clock_and_no_wire(source: Source) -> None:
    """The contract neither awaits nor logs, and has not heard of clocks, sockets or chance."""
    if source.room == "contract":
        packages = {module.partition(".")[0] for module, _, _ in source.imports}
        assert not packages & (NOT_IN_CONTRACT | (OTHERS.keys() - {"msgspec"}))
        assert not [
            node for node in ast.walk(source.tree) if isinstance(node, ast.Await | ast.AsyncWith)
        ]


@each_file
def test_files_open_with_a_docstring(source: Source) -> None:
    """A file says what lives in it."""
    assert ast.get_docstring(source.tree) or source.path == "_version.py"


@each_file
def test_files_are_short(source: Source) -> None:
    """A file of more than 350 lines, docstrings aside, asks to be split."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    said = sum(lines_said(node) for node in ast.walk(source.tree) if isinstance(node, kinds))
    assert source.lines - said <= 350


def lines_said(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """How long the docstring of a function or class is."""
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    return (first.end_lineno or 0) - first.lineno + 1 if documented else 0


@each_file
def test_functions_are_short(source: Source) -> None:
    """A function of more than 60 lines, its docstring aside, asks to be split."""
    long: list[str] = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1 - lines_said(node)
            if lines > 60:
                long.append(f"{node.name}: {lines} lines")
    assert not long


@each_file
def test_what_is_public_is_explained(source: Source) -> None:
    """Every public class, function, method and property says what it is, or overrides one."""
    module = importlib.import_module(source.module)
    missing: list[str] = []
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != source.module:
            continue
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            missing.append(name)
        if inspect.isclass(value):
            missing += [
                f"{name}.{attribute}"
                for attribute, member in vars(value).items()
                if not attribute.startswith("_")
                and (inspect.isfunction(member) or isinstance(member, property))
                and not inspect.getdoc(member)
                and not any(attribute in vars(base) for base in value.__mro__[1:])
            ]
    assert not missing


def test_public_names() -> None:
    """The front door offers what the documentation promises, sorted, and nothing else."""
    assert set(aitoearn_async.__all__) == {
        *("Client", "ClientStatistics", "CHINA", "INTERNATIONAL", "__version__"),
        *("ImageRef", "VideoRef", "AnyRef", "TaskRef", "parse_ref"),
        *(
            "ImageTask",
            "VideoTask",
            "AnyTask",
            "Task",
            "Image",
            "VideoInput",
            "VideoError",
            "TaskState",
        ),
        *("TaskRequest", "GenerateImage", "EditImage", "GenerateVideo", "MediaSource"),
        *("Model", "ImageModel", "EditModel", "VideoModel", "VideoDefaults"),
        *("VideoList", "SkippedVideo", "SubmitUncertainError"),
        *("Waiter", "Batch", "BatchStatistics", "Outcome", "WaitStrategy", "wait_backoff"),
        *("AiToEarnError", "ApiError", "AuthenticationError", "TaskNotFoundError"),
        *("InvalidRequestError", "RateLimitError", "ServerError", "TransportError"),
        *("ConnectionFailedError", "RequestTimeoutError", "UnexpectedResponseError"),
        *("ContractError", "TaskFailedError", "WaitTimeoutError", "ServiceUnreachableError"),
        *("ClientClosedError", "NotAskedError", "BreakerState"),
        *("DownloadError", "MediaAddressError", "ClientClosedError"),
    }
    assert len(set(aitoearn_async.__all__)) == len(aitoearn_async.__all__)
    assert set(emulator.__all__) == {"Emulator", "Fault", "Request", "VirtualTimeLoop"}


def test_nothing_else_looks_public() -> None:
    """What can be reached at the front door without being promised is a module."""
    for name, value in vars(aitoearn_async).items():
        assert name.startswith("_") or name in aitoearn_async.__all__ or inspect.ismodule(value)


def python(code: str) -> str:
    """What a fresh interpreter prints, for which every warning is an error."""
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


def test_import_is_quiet_and_light() -> None:
    """Importing the package warns of nothing and loads none of the optional packages."""
    code = "import sys, aitoearn_async; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in python(code).split()}
    assert {"aiohttp", "msgspec", "tenacity"} <= loaded
    assert not loaded & {"typer", "rich", "click", "pytest", "pytest_asyncio", "_pytest"}


def test_import_leaves_the_annexes_alone() -> None:
    """Importing the package loads neither its emulator nor its command line nor its plugin."""
    code = "import sys, aitoearn_async; print(*sys.modules)"
    rooms = {name.split(".")[1] for name in python(code).split() if name.startswith(f"{NAME}.")}
    assert not rooms & ANNEXES


def test_the_pytest_plugin_is_light() -> None:
    """pytest loads the plugin in every run, so it loads nothing that a run may not need."""
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import aitoearn_async.pytest_plugin; print(*set(sys.modules) - before)"
    )
    loaded = set(python(code).split())
    assert not {"typer", "rich", f"{NAME}.emulator", f"{NAME}.cli", "aiohttp.web"} & loaded


def test_every_module_can_be_imported_first() -> None:
    """No module needs another to have been imported before it: no circle is hidden.

    Whatever is imported, the package itself comes first, and with it, in one order, all that it
    imports. Only the others can be first.
    """
    modules = [source.module for source in SOURCES if not source.module.endswith("__main__")]
    code = f"""
import importlib, sys
import {NAME}
core = set(sys.modules)
first = [module for module in {modules!r} if module not in core]
assert 10 < len(first) < {len(modules)} - 30
for module in first:
    for name in [name for name in sys.modules if name.partition(".")[0] == {NAME!r}]:
        del sys.modules[name]
    importlib.import_module(module)
print("done")
"""
    assert python(code) == "done\n"
