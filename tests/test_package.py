"""The wheel, built from this checkout and installed elsewhere: what users get."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from aitoearn_async import __version__

ROOT = Path(__file__).parents[1]


class Installed(NamedTuple):
    """An environment in which nothing of this checkout is, but the wheel."""

    wheel: Path
    bin: Path
    site: Path
    elsewhere: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a folder far from the checkout."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST", "COV", "AITOEARN"))
        }
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.elsewhere,
            env=environment,
        )

    def python(self, code: str) -> str:
        """What Python of the environment prints, for which every warning is an error."""
        run = self.run("python", "-W", "error", "-c", code)
        assert (run.returncode, run.stderr) == (0, "")
        return run.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", *build], capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    home = folder / "venv"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    paths = sysconfig.get_paths("venv", vars={"base": str(home), "platbase": str(home)})
    site = Path(paths["purelib"])
    # The dependencies are this environment's. A path alone: no `.pth` behind it is followed,
    # so that this checkout stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = str(Path(paths["scripts"]) / "python")
    pip = ["pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    subprocess.run([sys.executable, "-m", *pip], capture_output=True, check=True)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(wheel, Path(paths["scripts"]), site, elsewhere)


def test_what_is_in_the_wheel(wheel: Path) -> None:
    """The wheel holds the package, all of it, its licence, and nothing else."""
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "aitoearn_async"
    own = {f.relative_to(ROOT).as_posix() for f in package.rglob("*") if f.suffix != ".pyc"}
    own = {name for name in own if (ROOT / name).is_file()}
    info = f"aitoearn_async-{__version__}.dist-info"
    assert {name for name in names if not name.startswith(info)} == own
    assert "aitoearn_async/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names


def test_metadata(wheel: Path) -> None:
    """The wheel is for any platform, asks for three packages, and has the package's version."""
    assert wheel.name == f"aitoearn_async-{__version__}-py3-none-any.whl"
    info = f"aitoearn_async-{__version__}.dist-info/METADATA"
    metadata = email.message_from_bytes(zipfile.ZipFile(wheel).read(info))
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {line.partition(";")[0].rstrip("<>=.,0123456789") for line in required}
    assert names == {"aiohttp", "msgspec", "tenacity"}
    assert set(metadata.get_all("Provides-Extra", [])) == {
        *("bench", "cli", "dev", "docs", "otel", "postgres", "prometheus", "proxies", "redis"),
        *("structlog", "testing"),
    }
    assert metadata["Author"] == "aitoearn-async maintainers"
    assert len(metadata.get_all("Project-URL", [])) == 5


def test_links_of_the_package_page_are_absolute(wheel: Path) -> None:
    """What the README points to is found from the page of the package too."""
    info = f"aitoearn_async-{__version__}.dist-info/METADATA"
    page = email.message_from_bytes(zipfile.ZipFile(wheel).read(info)).get_payload()
    targets = re.findall(r"\]\(([^)]+)\)", str(page))
    assert targets
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    assert "<!--" not in str(page)


@pytest.mark.slow
def test_import(installed: Installed) -> None:
    """Installed, the package is imported from where it was installed, typed, and complete."""
    code = (
        "import aitoearn_async as a, importlib.resources as r\n"
        "print(a.__file__, a.__version__, r.files(a).joinpath('py.typed').is_file(), sep='\\n')\n"
        "assert all(hasattr(a, name) for name in a.__all__)"
    )
    file, version, typed = installed.python(code).splitlines()
    assert Path(file).resolve() == (installed.site / "aitoearn_async/__init__.py").resolve()
    assert (version, typed) == (__version__, "True")


@pytest.mark.slow
def test_the_emulator_comes_along(installed: Installed) -> None:
    """Installed, the client gets a task from the emulator."""
    code = (
        "import asyncio\n"
        "from aitoearn_async import Client\n"
        "from aitoearn_async.emulator import Emulator, VirtualTimeLoop\n"
        "async def main():\n"
        "    async with Emulator() as service:\n"
        "        async with Client(service.api_key, base_url=service.url) as client:\n"
        "            print((await client.wait_for(service.add_video())).status)\n"
        "with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:\n"
        "    runner.run(main())"
    )
    assert installed.python(code) == "SUCCESS\n"


@pytest.mark.slow
def test_the_wheel_works_as_an_archive(installed: Installed, tmp_path: Path) -> None:
    """Imported out of the wheel itself, the emulator makes files, and commands speak English."""
    code = (
        f"import sys; sys.path.insert(0, {str(installed.wheel)!r})\n"
        "import asyncio, aitoearn_async\n"
        "from aitoearn_async import Client\n"
        "from aitoearn_async.__main__ import main as command\n"
        "from aitoearn_async.emulator import Emulator\n"
        "async def main():\n"
        "    async with Emulator() as service:\n"
        "        own = Client(service.api_key, base_url=service.url, private_media=True)\n"
        "        async with own as client:\n"
        "            film = service.add_video('SUCCESS')\n"
        f"            (path,) = await client.download(film, {str(tmp_path)!r})\n"
        "            print(path.name)\n"
        "asyncio.run(main())\n"
        "print(aitoearn_async.__file__)\n"
        "sys.argv[1:] = ['--language', 'zh', 'models', '--help']\n"
        "command()"
    )
    name, file, *words = installed.python(code).splitlines()
    assert name.endswith(".mp4")
    assert file == str(installed.wheel / "aitoearn_async" / "__init__.py")
    assert "Usage" in "".join(words)


@pytest.mark.slow
def test_the_command(installed: Installed) -> None:
    """Installed, there is a command, and a module to run, and both tell their version."""
    for command in (["aitoearn-async"], ["python", "-W", "error", "-m", "aitoearn_async"]):
        run = installed.run(*command, "--version")
        assert (run.returncode, run.stderr) == (0, "")
        assert __version__ in run.stdout.split()


TESTS_OF_A_USER = """
import pytest

from aitoearn_async import Client, WaitTimeoutError
from aitoearn_async.emulator import Emulator


@pytest.mark.virtual_time
async def test_poster(aitoearn_client: Client, aitoearn_service: Emulator):
    ref = aitoearn_service.add_image(("generating", 60.0), "success")
    assert (await aitoearn_client.wait_for(ref)).done


@pytest.mark.virtual_time
async def test_deadline(aitoearn_client: Client, aitoearn_service: Emulator):
    with pytest.raises(WaitTimeoutError):
        await aitoearn_client.wait_for(aitoearn_service.add_video("InProgress"), timeout=3600)
"""


@pytest.mark.slow
def test_the_pytest_plugin(installed: Installed) -> None:
    """Installed, the fixtures and the mark are there without a line of set-up."""
    (installed.elsewhere / "test_user.py").write_text(TESTS_OF_A_USER)
    (installed.elsewhere / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\naddopts = --strict-markers\n"
    )
    run = installed.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout
