"""The three scripts, and the workers of the compose file and of the systemd unit, as processes."""

from __future__ import annotations

import asyncio
import configparser
import shlex
import signal
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
import yaml

from aitoearn_async.fleet import Fleet
from tests.cli.conftest import Service, lead_to, spawn
from tests.docs.pages import ROOT, file_of
from tests.fleet import servers
from tests.fleet.engines import PostgresEngine

PAGE = ROOT / "docs/how-to/fleet.md"


def command_of(name: str) -> list[str]:
    """What a recipe runs, without the program's directory."""
    text = file_of(PAGE, name)
    if name == "compose.yaml":
        worker = yaml.safe_load(text)["services"]["worker"]
        assert worker["environment"].keys() == {"AITOEARN_API_KEY", "AITOEARN_FLEET"}
        shell = shlex.split(worker["command"])
        line = shell[-1].partition(" && exec ")[2]
    else:
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
        line = unit["Service"]["ExecStart"]
    words = shlex.split(line)
    assert Path(words[0]).name == "aitoearn-async"
    return words[1:]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["compose.yaml", "aitoearn-worker@.service"])
def test_its_worker_works_and_stops_in_peace(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is waited for, and SIGTERM ends it with status 0: nothing restarts for a fault."""
    monkeypatch.setenv("AITOEARN_FLEET", f"sqlite:///{tmp_path}/fleet.db")
    monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", "1")
    command = [word.replace("%S", str(tmp_path)) for word in command_of(name)]
    with Service() as service:
        lead_to(service, monkeypatch)
        ref = service.do(service.emulator.add_image, "success")
        with spawn(*command) as worker:

            async def one() -> bool:
                async with Fleet() as fleet:
                    await fleet.add([ref])
                    async with fleet.outcomes(follow=False) as outcomes:
                        return [outcome.ok async for outcome in outcomes] == [True]

            assert asyncio.run(one())
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=200)
        assert worker.returncode == 0


@pytest.mark.slow
def test_the_scripts_run_on_machines_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a directory of its own, with nothing in common but the two variables."""
    monkeypatch.setenv("AITOEARN_FLEET", PostgresEngine(servers.shared("postgres")).url)
    machines = {name: tmp_path / name for name in ("add", "worker", "reader")}
    for name, machine in machines.items():
        machine.mkdir()
        (machine / f"{name}.py").write_text(file_of(PAGE, f"{name}.py"), encoding="utf-8")

    def script(name: str) -> Popen[str]:
        command = [sys.executable, "-W", "error", f"{name}.py"]
        return Popen(command, cwd=machines[name], stdout=PIPE, text=True)

    with Service() as service:
        lead_to(service, monkeypatch)
        with script("worker") as working:
            try:
                with script("add") as adding:
                    assert adding.communicate(timeout=200)[0] == "1 new\n" * 3
                with script("reader") as reading:
                    assert reading.communicate(timeout=200)[0] == "True\n" * 3
                working.terminate()
                working.communicate(timeout=200)
            finally:
                working.kill()
        assert working.returncode == 0
    assert not list(tmp_path.glob("*/*.db"))
