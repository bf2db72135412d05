"""What is too slow, or needs too many interpreters, for every commit.

    nox -f .ci/noxfile.py                       all of it
    nox -f .ci/noxfile.py -l                    what there is
    nox -f .ci/noxfile.py -s "tests-3.13"       one of them
    nox -f .ci/noxfile.py -s fuzz -- --seconds 3600

Interpreters that are not installed are passed over. Nothing here is needed by `.ci/run`.
That the package works on uvloop is part of the tests.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
ROOT = Path(__file__).resolve().parent.parent
"""Where each session goes first: nox begins where this file stands."""


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on each Python, with the newest dependencies."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", "--slow", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The tests, with the lowest versions of the dependencies that pyproject.toml allows."""
    session.chdir(ROOT)
    session.install("uv")
    # Not in a folder of `create_tmp`: the tests' own files would lie in this one then.
    bounds = str((session.cache_dir / "lowest.txt").resolve())
    resolve = ["uv", "pip", "compile", "--quiet", "--resolution=lowest-direct", "--extra=dev"]
    session.run(*resolve, f"--output-file={bounds}", "pyproject.toml")
    session.install("-r", bounds)
    session.install("--no-deps", "-e", ".")
    session.run("pytest", "-q", "--slow", *session.posargs)


@nox.session(name="pre-releases", python=PYTHONS[-2])
def pre_releases(session: nox.Session) -> None:
    """The tests, with the dependencies as they are about to be released."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    with_core = [*project["dependencies"], *extras["cli"], *extras["testing"]]
    session.install("--pre", "--upgrade", *with_core)
    session.run("pip", "list")
    session.run("pytest", "-q", "--slow", *session.posargs)


@nox.session
def clock(session: nox.Session) -> None:
    """The tests, with a clock that starts at a random time: sums of floats are rounded anew."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    start = random.uniform(0, 10_000_000)
    session.run("pytest", "-q", "--slow", f"--clock-start={start}", *session.posargs)


@nox.session
def debug(session: nox.Session) -> None:
    """The tests, in asyncio's debug mode: slow callbacks apart, whatever it minds is an error."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", "--slow", *session.posargs, env={"PYTHONASYNCIODEBUG": "1"})


@nox.session(python=PYTHONS[0])
def margins(session: nox.Session) -> None:
    """Ten runs of these tests, each with other seeds: which asserts come near their bounds?"""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    seen = Path(session.create_tmp()) / "margins"
    seen.unlink(missing_ok=True)
    options = ["-p", "tests.support.margins", "-o", "enable_assertion_pass_hook=true"]
    for run in range(10):
        # Compiled apart, since the hook is compiled into each assert.
        env = {
            "MARGINS_RUN": str(run),
            "MARGINS_FILE": str(seen),
            "PYTHONPYCACHEPREFIX": f"{seen}.pyc",
        }
        session.run("pytest", "-q", *options, *session.posargs, env=env, success_codes=[0, 1])
    session.run("python", "-m", "tests.support.margins", str(seen))


@nox.session
def large(session: nox.Session) -> None:
    """The tests, with crowds of ten thousand and with examples by the hundred."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", "--slow", "--large", *session.posargs)


@nox.session(name="pure-python")
def pure_python(session: nox.Session) -> None:
    """The tests, with aiohttp's parser in Python."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", "--slow", *session.posargs, env={"AIOHTTP_NO_EXTENSIONS": "1"})


@nox.session
def secrets(session: nox.Session) -> None:
    """The tests, at debug level, with a search for the API key in all that they bring forth."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", "--slow", "--marker-key", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """What `.ci/run` says of the code without running it."""
    session.chdir(ROOT)
    session.install("-e", ".[bench,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("vulture")
    session.run("vulture", "aitoearn_async", ".ci/used_elsewhere.py")
    session.run("pylint", "aitoearn_async", "benchmarks", "tests")
    session.run("mypy")
    session.run("basedpyright")


@nox.session(python=PYTHONS[0])
def fuzz(session: nox.Session) -> None:
    """A minute of fuzzing, or what is asked for: see `python -m tests.fuzz --help`."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]", "atheris>=3")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session(python=PYTHONS[0])
def proxies(session: nox.Session) -> None:
    """Polls, lists and submits through real proxies; on Debian, with those that it has too.

    Needs root there, to install them.
    """
    session.chdir(ROOT)
    session.install("-e", ".[dev,proxies]")
    which = "pypi"
    if shutil.which("apt-get") is None:
        session.warn("no apt-get here: Varnish, Squid, HAProxy and Apache are NOT tested")
    else:
        which = "all"
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        packages = ["varnish", "squid", "haproxy", "apache2-bin"]
        session.run("apt-get", "update", "-qq", external=True)
        session.run(*install, *packages, external=True, env={"DEBIAN_FRONTEND": "noninteractive"})
    tests = ["tests/proxies", "-n0", f"--proxies={which}"]
    session.run("pytest", "-q", *tests, *session.posargs)


@nox.session(name="fleet-chaos", python=PYTHONS[0])
def fleet_chaos(session: nox.Session) -> None:
    """Minutes of storms on each engine of a fleet: workers, readers and engines are killed."""
    session.chdir(ROOT)
    session.install("-e", ".[dev]")
    tests = ["tests/fleet/test_chaos.py", "-n1", "--timeout=600"]
    session.run("pytest", "-q", *tests, *session.posargs, env={"AITOEARN_LONG_TESTS": "1"})


@nox.session(python=PYTHONS[0])
def mutation(session: nox.Session) -> None:
    """Break the pure modules in every small way; the tests have to notice. Takes ten minutes.

    Of one module: nox -f .ci/noxfile.py -s mutation -- "aitoearn_async._resilience.breaker*"
    """
    session.chdir(ROOT)
    session.install("-e", ".[dev]", "mutmut>=3.8")
    # What is there already would not be made anew where the configuration alone has changed.
    shutil.rmtree("mutants", ignore_errors=True)
    session.run("mutmut", "run", *session.posargs)
    session.run("mutmut", "results")
