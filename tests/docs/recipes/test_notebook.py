"""The page on notebooks, cell by cell, in a real kernel."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from aitoearn_async.emulator import Emulator, VirtualTimeLoop

from ..pages import ROOT, blocks
from .conftest import environment_of


@pytest.mark.slow
async def test_each_cell_runs_and_the_pictures_are_shown(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    page = list(blocks(ROOT / "docs/how-to/notebook.md"))
    cells = [block.code for block in page if block.language == "python"]
    made: Any = nbformat.v4
    notebook = made.new_notebook(cells=[made.new_code_cell(cell) for cell in cells])
    with loop.real_time():
        async with Emulator() as service:
            service.script("image", "success")
            client: Any = nbclient.NotebookClient(
                notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}
            )
            await client.async_execute(env=os.environ | environment_of(service))
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1 + 3
    # A kernel that is held up sends one line in two outputs.
    said = "".join(output.text for output in notebook.cells[-1].outputs if "text" in output)
    assert said.endswith("3 of 3\n")
