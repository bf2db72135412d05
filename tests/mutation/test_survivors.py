"""The list of mutants that live on, and the modules that are mutated: all of them are there."""

from __future__ import annotations

import importlib
import re
import tomllib
from functools import reduce
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MUTMUT = SETTINGS["tool"]["mutmut"]
SURVIVORS = (Path(__file__).parent / "survivors.md").read_text(encoding="utf-8")


def test_modules_and_tests_are_there() -> None:
    """A path that has moved would be left out in silence."""
    tests = [each for each in MUTMUT["pytest_add_cli_args_test_selection"] if each[0] != "-"]
    for path in (*MUTMUT["only_mutate"], *tests):
        assert (ROOT / path).is_file(), path


def test_survivors_are_functions_of_these_modules() -> None:
    """By the name they have now."""
    modules = {Path(path).stem: path.removesuffix(".py") for path in MUTMUT["only_mutate"]}
    rows = re.findall(r"^\| (`[a-z_]+\.\S.*?) \|", SURVIVORS, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([a-z_]+)\.([\w.]+)`", row)]
    assert len(names) >= 20
    for module, path in names:
        found = importlib.import_module(modules[module].replace("/", "."))
        assert reduce(getattr, path.split("."), found), f"{module}.{path}"


def test_the_last_run_is_of_these_modules() -> None:
    """A row each, but for those that came later."""
    rows = re.findall(r"^\| `([\w/]+\.py)` \|", SURVIVORS, re.MULTILINE)
    assert {f"aitoearn_async/{row}" for row in rows} <= set(MUTMUT["only_mutate"])
