"""The margins of asserts to their bounds, over many runs: the nox session `margins`.

A plugin of pytest. Each run draws anew, by `MARGINS_RUN`, and appends to `MARGINS_FILE` how
far each comparison of two numbers was from failing. Then

    python -m tests.support.margins FILE

lists the comparisons that vary, nearest first: their bounds, in standard deviations.
"""

from __future__ import annotations

import ast
import json
import os
import random
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

_EXPRESSIONS = ast.Expression, ast.Compare, ast.BinOp, ast.UnaryOp, ast.Constant
_NUMBERS = *_EXPRESSIONS, ast.operator, ast.unaryop, ast.cmpop
_SIGNS = {ast.Lt: 1, ast.LtE: 1, ast.Gt: -1, ast.GtE: -1}
_FEW = 8.0
"""Deviations: what is farther from its bound is not listed."""


def pytest_configure() -> None:
    """Let the same seed mean something else in each run."""
    seed, run = random.seed, os.environ["MARGINS_RUN"]
    random.seed = lambda a=None, version=2: seed(f"{a!r} {run}", version)


def pytest_assertion_pass(item: pytest.Item, lineno: int, orig: str, expl: str) -> None:
    """Note how far an assert was from failing, if it compares two numbers."""
    margin = _margin(expl.partition("\n")[0])
    if margin is not None:
        with Path(os.environ["MARGINS_FILE"]).open("a") as file:
            file.write(json.dumps([f"{item.nodeid}:{lineno} {orig}", margin]) + "\n")


def _margin(compared: str) -> float | None:
    try:
        tree = ast.parse(compared, mode="eval")
    except SyntaxError:
        return None
    found: Any = tree.body
    if not isinstance(found, ast.Compare) or not all(
        isinstance(node, _NUMBERS) for node in ast.walk(tree)
    ):
        return None
    sign = _SIGNS.get(type(found.ops[0]))
    if sign is None:
        return None
    left, right = (
        eval(compile(ast.Expression(side), "", "eval"))
        for side in (found.left, found.comparators[0])
    )
    return float(sign * (right - left))


def main(path: str) -> None:
    """Print what varies, nearest to its bound first."""
    seen: dict[str, list[float]] = defaultdict(list)
    for line in Path(path).read_text().splitlines():
        name, margin = json.loads(line)
        seen[name].append(margin)
    rows = [
        (statistics.fmean(margins) / deviation, min(margins), name)
        for name, margins in seen.items()
        if (deviation := statistics.pstdev(margins)) > 0
    ]
    for deviations, least, name in sorted(rows):
        if deviations < _FEW:
            print(f"{deviations:5.1f}  least {least:g}  {name}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
