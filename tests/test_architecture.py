"""The house rules: which room imports which, how large things are, what is said of them."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import aitoearn_async
from aitoearn_async import emulator, fleet, telemetry

PACKAGE = Path(aitoearn_async.__file__).parent
NAME = "aitoearn_async"

# Room -> the rooms it may import, itself aside. A room is a folder, or a file at the top.
MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "_containers": set(),
    "contract": {"_containers"},
    "_error_base": {"contract"},
    "errors": {"contract", "_error_base"},
    "_verdict": {"_error_base", "errors"},
    "_runtime": {"errors"},
    "_net": {"contract", "errors", "_runtime"},
    "_resilience": {"errors", "_verdict", "_runtime", "_net"},
    "_polling": {"contract", "_error_base", "errors", "_verdict", "_runtime"},
    "_transport": {
        *("_version", "contract", "errors", "_verdict", "_runtime", "_net", "_resilience"),
    },
    "_downloads": {
        "contract",
        "errors",
        "_verdict",
        "_containers",
        "_runtime",
        "_net",
        "_resilience",
    },
    "_uploads": {"contract", "errors", "_verdict", "_containers", "_runtime", "_net", "_downloads"},
    "_arguments": {"contract", "_polling"},
    "_api": {
        *("contract", "errors", "_runtime", "_net", "_resilience", "_polling", "_transport"),
        *("_error_base", "_verdict", "_downloads", "_uploads"),
    },
    "_assembly": {
        *("contract", "errors", "_runtime", "_net", "_resilience", "_polling", "_transport"),
        *("_api", "_downloads", "_uploads"),
    },
    "_waits": {"contract", "errors", "_arguments", "_polling", "_assembly", "telemetry"},
    "telemetry": {"_version", "contract", "errors", "_verdict", "_polling"},
    "_client": {
        *("contract", "errors", "_runtime", "_resilience", "_polling", "_api"),
        *("_arguments", "_assembly", "_waits", "telemetry"),
    },
    "__init__": {
        *("_version", "contract", "errors", "_net", "_resilience", "_polling", "_api", "_client"),
    },
    "_cli": set(),
    "emulator": set(),
    "fleet": set(),
    "pytest_plugin": set(),
    "__main__": {"_cli"},
}
"""Who downloads or uploads never imports who holds the key (`_transport`): the law of the key."""
LAYERS = {
    "_cli": ["language", "files", "options", "report", "run", "commands"],
    "_polling": ["awaitables", "cadence", "wait", "rounds", "single | batch"],
}
"""The layers of rooms that have some, from the lowest: folders, or files, or some side by side."""
ANNEXES = {"_cli", "emulator", "fleet", "pytest_plugin", "__main__"}
"""Written as a user would: they see the public names and no more."""

PUBLIC = {
    NAME: set(aitoearn_async.__all__),
    f"{NAME}.emulator": set(emulator.__all__),
    f"{NAME}.fleet": set(fleet.__all__),
    f"{NAME}.telemetry": set(telemetry.__all__),
}

# Package -> where it may be imported, outside of `if TYPE_CHECKING`.
OTHERS: dict[str, set[str]] = {
    "aiohttp": {
        "_transport",
        "_net",
        "_downloads/media_client.py",
        "_downloads/media_stream.py",
        "_uploads/store.py",
        "emulator",
    },
    "yarl": {"_transport", "_net", "_downloads"},
    "multidict": {"_transport", "_net/headers.py", "emulator"},
    "msgspec": {
        *("contract", "_polling", "_api", "_transport", "_downloads", "emulator", "_cli", "fleet"),
        *("telemetry", "_verdict", "_net", "_resilience"),
    },
    "tenacity": {"_resilience/retry.py", "_polling/cadence/schedule.py"},
    "opentelemetry": {"telemetry/otel.py"},
    "prometheus_client": {"telemetry/prometheus.py"},
    "structlog": {"telemetry/structlog.py"},
    "psycopg": {
        *(
            "fleet/postgres.py",
            "fleet/postgres_connection.py",
            "fleet/postgres_queue.py",
            "fleet/postgres_statements.py",
        ),
    },
    "redis": {"fleet/redis_connection.py"},
    "click": {"_cli"},
    "rich": {"_cli"},
    "pytest": {"pytest_plugin.py"},
    "pytest_asyncio": {"pytest_plugin.py"},
}
NOT_IN_CONTRACT = {"asyncio", "logging", "time", "socket", "os", "random", "ssl", "threading"}


class Import(NamedTuple):
    """One imported thing: `from module import name`, or `import module` with no name."""

    module: str
    name: str | None
    for_types: bool


@dataclass(frozen=True)
class Source:
    """One file of the package."""

    path: str
    module: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.path.partition("/")[0].removesuffix(".py")

    @cached_property
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


@cache
def sources() -> list[Source]:
    """Each file of the package, read when the first test asks."""
    found: list[Source] = []
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE).as_posix()
        module = f"{NAME}.{path.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")
        text = file.read_text(encoding="utf-8")
        found.append(Source(path, module, text, ast.parse(text)))
    return found


def every_file(law: Callable[[Source], Iterator[str]]) -> Callable[[], None]:
    """Make a test of a law: it yields what breaks it in one file, and no file may break it.

    One test of all files is a tenth of a second; a test of each would be ten seconds.
    """

    def test() -> None:
        broken = [f"{source.path}: {words}" for source in sources() for words in law(source)]
        assert not broken, "\n".join(broken)

    test.__doc__ = law.__doc__
    return test


def room_of(module: str, name: str | None) -> str | None:
    """The room an import reaches into; None if it is not this package's."""
    package, _, rest = module.partition(".")
    if package != NAME:
        return None
    first = rest.partition(".")[0] or name or ""
    return first if first in MAY_IMPORT else "__init__"


def test_every_room_is_known() -> None:
    """A new room gets a line in the table: what it may import is a decision."""
    assert {source.room for source in sources()} == set(MAY_IMPORT)


@every_file
def test_imports_point_one_way(source: Source) -> Iterator[str]:
    """A room imports those below it; contract and errors each other; annexes the front door."""
    for module, name, _ in source.imports:
        room = room_of(module, name)
        if room is None or room == source.room:
            continue
        if source.room in ANNEXES and module in PUBLIC:
            if name not in PUBLIC[module]:
                yield f"{module}.{name} is not public"
        elif not {room, module.removeprefix(f"{NAME}.")} & MAY_IMPORT[source.room]:
            yield f"imports {module} {name}"


@every_file
def test_layers_import_those_below(source: Source) -> Iterator[str]:
    """Each layer of a room imports those below it only, and itself."""
    room, _, rest = source.path.partition("/")
    layer = rest.partition("/")[0].removesuffix(".py")
    levels = [level.split(" | ") for level in LAYERS.get(room, [])]
    floor = {name: number for number, level in enumerate(levels) for name in level}
    if layer in floor:
        for module, name, _ in source.imports:
            if module.startswith(f"{NAME}.{room}"):
                reached = f"{module}.{name}".split(".")[2]
                if reached != layer and floor.get(reached, -1) >= floor[layer]:
                    yield f"imports {module}"


@every_file
def test_own_modules_are_named_relatively(source: Source) -> Iterator[str]:
    """The house imports itself relatively, and the annexes the house absolutely, as users do."""
    froms = [node for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom)]
    for node in froms if source.room not in ANNEXES else []:
        if not node.level and (node.module or "").partition(".")[0] == NAME:
            yield f"line {node.lineno}"


@every_file
def test_other_packages_stay_where_they_belong(source: Source) -> Iterator[str]:
    """A package is imported in the room that is there for it, and nowhere else."""
    for module, _, for_types in source.imports:
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names or package == NAME:
            continue
        if for_types and package in {*OTHERS, "_typeshed"}:
            continue
        if package not in OTHERS:
            yield f"{package} is no dependency"
        elif not {source.path, source.room} & OTHERS[package]:
            yield f"{package} has another home"


PROTOCOLS = {"Clock", "Timer"}
"""Named as the classes that fit them: a room is handed those, and may not import them."""


def test_no_two_classes_have_one_name() -> None:
    """A name stands for one thing, whichever room a reader is in."""
    homes: dict[str, list[str]] = {}
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and node.name not in PROTOCOLS:
                homes.setdefault(node.name, []).append(source.path)
    assert not {name: paths for name, paths in homes.items() if len(paths) > 1}


@every_file
def test_words_have_no_clock_and_no_wire(source: Source) -> Iterator[str]:
    """The contract neither awaits nor logs, and has not heard of clocks, sockets or chance."""
    if source.room == "contract":
        packages = {module.partition(".")[0] for module, _, _ in source.imports}
        yield from packages & (NOT_IN_CONTRACT | (OTHERS.keys() - {"msgspec"}))
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Await | ast.AsyncWith):
                yield f"line {node.lineno} awaits"


@every_file
def test_the_clients_clock_is_asked_each_time(source: Source) -> Iterator[str]:
    """Nobody keeps the function that tells the time: after the machine's sleep it is another."""
    nodes = list(ast.walk(source.tree))
    called = {node.func for node in nodes if isinstance(node, ast.Call)}
    for node in [node for node in nodes if isinstance(node, ast.Attribute)]:
        if node not in called and ast.unparse(node).endswith("lifetime.time"):
            yield f"line {node.lineno}"


@every_file
def test_files_open_with_a_docstring(source: Source) -> Iterator[str]:
    """A file says what lives in it."""
    if not ast.get_docstring(source.tree) and source.path != "_version.py":
        yield "no docstring"


@every_file
def test_docstrings_begin_with_a_verb_or_a_noun(source: Source) -> Iterator[str]:
    """A reader gets the subject first: no docstring begins with a question word."""
    yield from re.findall(
        r'^\s*"""((?:What|Whether|When|How|Where|Who)\b.*)$', source.text, re.MULTILINE
    )


@every_file
def test_docstrings_name_arguments_that_are_there(source: Source) -> Iterator[str]:
    """No argument keeps its old name in the docstring of its function, or of its class."""
    for node in ast.walk(source.tree):
        function = node
        if isinstance(node, ast.ClassDef):
            made = (each for each in node.body if getattr(each, "name", "") == "__init__")
            function = next(made, node)
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        there = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
        section = re.search(r"Args:\n((?:    .*\n?|\n)+)", ast.get_docstring(node) or "")
        named = re.findall(r"^    (\w+):", section[1], re.MULTILINE) if section else []
        yield from (f"{node.name}: {name}" for name in named if name not in there)


@every_file
def test_a_silenced_linter_has_a_reason(source: Source) -> Iterator[str]:
    """Each `noqa` names its rule, and says why it does not hold there."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if "# noqa" in line and not re.search(r"# noqa: [A-Z]+\d+ - \w", line):
            yield f"line {number}"


@every_file
def test_files_are_short(source: Source) -> Iterator[str]:
    """A file of more than 350 lines, docstrings and overloads aside, asks to be split."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    said = sum(lines_said(node) for node in ast.walk(source.tree) if isinstance(node, kinds))
    if (lines := source.text.count("\n") - said) > 350:
        yield f"{lines} lines"


def lines_said(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """How long the docstring of a function or class is; all of an overload is for its readers."""
    if [ast.unparse(decorator) for decorator in node.decorator_list] == ["overload"]:
        return (node.end_lineno or 0) - node.lineno + 2
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    return (first.end_lineno or 0) - first.lineno + 1 if documented else 0


@every_file
def test_functions_are_short(source: Source) -> Iterator[str]:
    """A function of more than 60 lines, its docstring aside, asks to be split."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1 - lines_said(node)
            if lines > 60:
                yield f"{node.name}: {lines} lines"


@every_file
def test_what_is_public_is_explained(source: Source) -> Iterator[str]:
    """Every public class, function, method and property says what it is, or overrides one."""
    module = importlib.import_module(source.module)
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != source.module:
            continue
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            yield name
        if inspect.isclass(value):
            yield from (f"{name}.{each}" for each in unexplained(value))


def unexplained(kind: type) -> Iterator[str]:
    """The public methods and properties of a class that neither say what they are nor override."""
    for attribute, member in vars(kind).items():
        if attribute.startswith("_"):
            continue
        if not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        overrides = any(attribute in vars(base) for base in kind.__mro__[1:])
        if not inspect.getdoc(member) and not overrides:
            yield attribute


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
        *("ImageList", "ListedImage", "VideoList", "SkippedVideo", "SubmitUncertainError"),
        *(
            "Waiter",
            "Batch",
            "BatchStatistics",
            "LearnedRhythm",
            "Outcome",
            "Resume",
            "WaitStrategy",
            "wait_backoff",
        ),
        *("AiToEarnError", "ApiError", "AuthenticationError", "TaskNotFoundError"),
        *("InvalidRequestError", "RateLimitError", "ServerError", "TransportError"),
        *("ConnectionFailedError", "RequestTimeoutError", "UnexpectedResponseError"),
        *("ContractError", "TaskFailedError", "WaitTimeoutError", "ServiceUnreachableError"),
        *("ClientClosedError", "NotAskedError", "BreakerState"),
        *("DownloadError", "MediaAddressError", "UploadError", "ClientClosedError"),
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
    assert not loaded & {"aiohttp", "msgspec", "tenacity", "asyncio"}
    assert not loaded & {"rich", "click", "pytest", "pytest_asyncio", "_pytest"}


def test_names_are_imported_from_where_checkers_find_them() -> None:
    """The table of the front door says the same as the imports that type checkers read."""
    (source,) = (each for each in sources() if each.module == NAME)
    told = {
        name: module.removeprefix(f"{NAME}.")
        for module, name, for_types in source.imports
        if for_types
    }
    assert told == aitoearn_async._HOME_OF
    assert {*told, "__version__"} == set(aitoearn_async.__all__)
    assert set(aitoearn_async.__all__) <= set(dir(aitoearn_async))


def test_what_is_not_there_is_an_attribute_error() -> None:
    """A name that is not public is told as by any other module; public rooms are there."""
    with pytest.raises(AttributeError, match="has no attribute 'AiToEarn'"):
        _ = aitoearn_async.AiToEarn  # type: ignore[attr-defined]
    assert vars(aitoearn_async)["__getattr__"]("errors") is aitoearn_async.errors
    code = "import aitoearn_async; print(aitoearn_async.errors.ApiError.__name__)"
    assert python(code) == "ApiError\n"


def test_help_is_quick() -> None:
    """The version and the help of each command import nothing that takes long."""
    for args in ("--version", "--help", "wait --help", "generate video --help"):
        code = (
            f"import sys; sys.argv = ['x', *{args!r}.split()]\n"
            "from aitoearn_async.__main__ import main\n"
            "try: main()\n"
            "except SystemExit: print('loaded', *sys.modules)"
        )
        loaded = {name.partition(".")[0] for name in python(code).split("loaded")[1].split()}
        assert not loaded & {"aiohttp", "msgspec", "tenacity", "rich", "asyncio"}


def test_the_client_is_light_until_one_is_made() -> None:
    """aiohttp takes longer to load than all the rest. It comes with the first client."""
    code = "import sys; from aitoearn_async import Client, GenerateImage\n{}\nprint(*sys.modules)"
    before = {name.partition(".")[0] for name in python(code.format("")).split()}
    after = python(code.format("Client('k')")).split()
    assert not before & {"aiohttp", "yarl", "multidict"}
    assert "aiohttp" in after
    # Files are judged when there is one.
    assert not [name for name in after if name.startswith(f"{NAME}._containers")]


def test_a_client_that_only_waits_loads_nothing_that_saves_lists_or_submits() -> None:
    """A part that few clients need is imported when it is first used, and not to be closed."""
    code = (
        "import asyncio, sys; from aitoearn_async import Client; client = Client('k')\n"
        "asyncio.run(client.aclose()); print(*sys.modules)"
    )
    late = {
        *("_api.submit", "_api.uploader", "_api.model_catalog", "_api.image_list"),
        *("_api.video_list", "_downloads.downloader", "_downloads.media_client"),
        *("_uploads.store", "_polling.batch.batch"),
    }
    modules = {f"{NAME}.{module}" for module in late}
    assert modules <= {source.module for source in sources()}
    assert not modules & set(python(code).split())


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
    assert not {"click", "rich", f"{NAME}.emulator", f"{NAME}._cli", "aiohttp.web"} & loaded


def test_imports_make_no_circle() -> None:
    """No two import each other, or through others. Imports for types, and late ones, count."""
    modules = {source.module for source in sources()}
    homes = {f"{NAME}.{name}": f"{NAME}.{home}" for name, home in aitoearn_async._HOME_OF.items()}
    needs: dict[str, set[str]] = {}
    for source in sources():
        reached: set[str] = set()
        for module, name, _ in source.imports:
            whole = homes.get(f"{module}.{name}", f"{module}.{name}")
            reached.add(whole if whole in modules else module)
        needs[source.module] = (reached & modules) - {source.module}
    assert len(list(TopologicalSorter(needs).static_order())) == len(modules)
